/** What the embedding script tag says: `<script async src="/_s/s.js" data-site="example.com">`. */
const { dataset, src } = document.currentScript as HTMLScriptElement;

/** Where the doors are: the address of the script up to its last slash. */
const { href, hostname: host } = new URL('.', src);
export { href as base, host };

/** Reports an answer that is not Sluice's: the web server in front redirects (a language, a slash at the end), or answers itself. */
export const misled = (): void => console.error(`sluice: pass ${href} on, without a redirect`);

/** The domain that Sluice is configured for. */
export const site = dataset.site || location.hostname;

/** The language to ask in, or '' to let the server take the browser's. */
export const lang = dataset.lang || document.documentElement.lang;

/** False where the page counts its pageviews itself, by sluice.track('pageview'). */
export const pageviews = dataset.pageviews != 'off';

/** What of the site's measurements this page takes part in, by name; without the attribute all of them. */
export const { measure } = dataset;

/** Whether a host, by default the page's, is the site's domain or below it, and no test host. */
export const within = (name = location.hostname): boolean => `.${name}`.endsWith(`.${site}`);
