/**
 * g.js: stands above Google's tags, on sites that load these themselves, and
 * blocks until it ran. Consent Mode v2 knows one default, before anything else:
 * nothing is granted but what security needs. The script sends the update.
 */
const page = window as unknown as { dataLayer?: unknown[]; gtag?: (...command: unknown[]) => void };
const layer = (page.dataLayer = page.dataLayer || []);
const denied = 'denied';
// Google's tags read an arguments object as a command, and an array as none.
page.gtag = function () {
  layer.push(arguments);
};
page.gtag('consent', 'default', {
  ad_storage: denied,
  ad_user_data: denied,
  ad_personalization: denied,
  analytics_storage: denied,
  functionality_storage: denied,
  personalization_storage: denied,
  security_storage: 'granted',
});
export {};
