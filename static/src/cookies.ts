import { site } from './tag';

/** The value of a cookie as it stands, or ''. */
export const readCookie = (name: string): string =>
  ('; ' + document.cookie).split('; ' + name + '=')[1]?.split(';')[0] ?? '';

/** Sets a cookie for a domain and its subdomains, or with '' for this host alone. */
export function setCookie(pair: string, domain: string): void {
  document.cookie = pair + ';path=/;samesite=lax' + (domain && ';domain=' + domain) + (location.protocol > 'http:' ? ';secure' : '');
}

/** Expires a cookie of Sluice's own, for this host and for the site. */
export function expireCookie(name: string): void {
  for (const domain of ['', site]) setCookie(name + '=;max-age=0', domain);
}
