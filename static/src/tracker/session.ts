import { readCookie, setCookie } from '../cookies';
import { site, within } from '../tag';

/** 64 random bits, in decimal digits. (crypto.randomUUID would need a secure context.) */
export const random = (): string => crypto.getRandomValues(new Uint32Array(2)).join('');

/**
 * The running session, `<start, Unix seconds>.<random>`, opened or prolonged by
 * this call; it ends after 30 idle minutes, as in GA4, so that both reports count alike. Only under a grant. The site's subdomains share it, unless the page
 * is elsewhere (a test host), or the site is an address or a single label, which
 * take no Domain attribute (RFC 6265, 5.1.3).
 */
export function session(): string {
  const id = readCookie('sl_s') || ((Date.now() / 1000) | 0) + '.' + random();
  setCookie(`sl_s=${id};max-age=1800`, within() && /\..*\D$/.test(site) ? site : '');
  return id;
}
