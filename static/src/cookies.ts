/** The value of a cookie as it stands, or ''. */
export const readCookie = (name: string): string =>
  ('; ' + document.cookie).split('; ' + name + '=')[1]?.split(';')[0] ?? '';

/** Sets a cookie for a domain and its subdomains, or with '' for this host alone. */
export function setCookie(pair: string, domain: string, path = '/'): void {
  document.cookie = pair + `;path=${path};samesite=lax` + (domain && ';domain=' + domain) + (location.protocol > 'http:' ? ';secure' : '');
}

/** Expires a cookie for this host and each of its parents: a script cannot see which of them it was set for. */
export function expireCookie(name: string): void {
  for (let domain = '.' + location.hostname; domain; ) setCookie(name + '=;max-age=0', (domain = domain.replace(/^[^.]*./, '')));
}
