import { readCookie, setCookie } from '../cookies';
import { home, site } from '../tag';

export const SESSION = 'sl_s';

/** Seconds until an idle session ends: 30 minutes, as in GA4, so that both reports count alike. */
const IDLE = 1800;

/** 64 random bits, in decimal digits. (crypto.randomUUID would need a secure context.) */
export const random = (): string => crypto.getRandomValues(new Uint32Array(2)).join('');

/**
 * The running session, `<start, Unix seconds>.<random>`, opened or prolonged by
 * this call. Only under a grant. The site's subdomains share it, unless the page
 * is elsewhere (a test host), or the site is an address or a single label, which
 * take no Domain attribute (RFC 6265, 5.1.3).
 */
export function session(): string {
  const id = readCookie(SESSION) || ((Date.now() / 1000) | 0) + '.' + random();
  const shared = home && /\..*\D$/.test(site);
  setCookie(`${SESSION}=${id};max-age=${IDLE}`, shared ? site : '');
  return id;
}
