import type { Inner, Sluice } from '../api';
import { type Selection, covers } from '../consent/selection';
import type { Decided, Decision, FirstData, Method } from '../consent/wire';

/** How a decision went: it stands, the notice was old, or it could not be saved. */
export type Outcome = 'saved' | 'stale' | 'failed';

/**
 * Sends a decision. What it takes back stops at once: the choice is forgotten
 * before the request leaves, so that nothing is sent meanwhile, whatever becomes
 * of it.
 */
export async function decide(sluice: Sluice, data: FirstData, selection: Selection, method: Method): Promise<Outcome> {
  const inner = sluice._;
  const { notice, lang, shown } = data;
  const body: Omit<Decision, 'site'> = { ...selection, method, notice: notice.version, lang, shown, outside: inner.outside };
  body.token = kept(inner).split('|')[1]; // forget drops it
  if (sluice.consent && !covers(selection, sluice.consent)) inner.forget();
  clear(data, selection, inner);
  try {
    const answer = await inner.post('d', body);
    if (answer.status === 409) return 'stale';
    if (answer.status !== 201) throw await answer.text();
    remember(inner, (await answer.json()) as Decided);
    return 'saved';
  } catch (problem) {
    console.error('sluice: the decision was not saved:', problem);
    return 'failed';
  }
}

/** `<choice>|<token>`, where the script keeps them itself; else ''. */
export const kept = (inner: Inner): string => /sl_kept=([^;]*)/.exec(document.cookie)?.[1] || inner.kept || '';

/**
 * Reads what the server's cookie says. Where it did not arrive (a CDN may strip
 * cookies), the script keeps choice and token itself, and the console says so.
 */
export function remember(inner: Inner, { choice, token, expires }: Decided): void {
  const arrived = document.cookie.includes('sl_choice=' + choice);
  if (!arrived) {
    console.warn('sluice: the cookie sl_choice did not arrive. Let the web server pass Set-Cookie on.');
    inner.forget();
  }
  const value = choice + '|' + token;
  const seconds = arrived ? 0 : ((Date.parse(expires) - Date.now()) / 1000) | 0;
  document.cookie = `sl_kept=${value};max-age=${seconds};path=/;samesite=lax` + (location.protocol > 'http:' ? ';secure' : '');
  if (!arrived && !document.cookie.includes(value)) inner.kept = value; // cookies are off: the choice holds for this page
  inner.sync();
}

/** Takes away what the services that are refused may have left in the browser, where it holds anything. */
function clear({ purposes }: FirstData, { services }: Selection, inner: Inner): void {
  const refused = purposes.flatMap((p) => p.services ?? []).filter((s) => services[s.name] === false);
  const declared = refused.flatMap((s) => s.clear ?? []);
  let stored = document.cookie;
  try {
    stored += localStorage.length || sessionStorage.length || '';
  } catch {
    // storage is off
  }
  if (stored && declared.length) inner.load(__chunks.clear, () => inner.clear!(declared));
}
