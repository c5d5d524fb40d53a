import type { Inner, Preference, Prefs } from '../api';
import { current } from '../consent/standing';

/**
 * `sluice.prefs`, for a page whose script tag carries `data-prefs`. What is set
 * holds for the page at once; it is kept once the visitor has granted
 * preferences, and not before. Another tab's are read from the cookie, and of
 * two tabs that set the same name the later one stands.
 */
export function createPrefs({ post }: Inner): Prefs {
  /** Set or removed (null) in this page, and not in the cookie yet. */
  const pending: Record<string, Preference | null> = {};
  let running = false;

  /** What the server keeps. */
  function stored(): Record<string, Preference> {
    try {
      return JSON.parse(decodeURIComponent(/(?:^|; )sl_pref=([^;]*)/.exec(document.cookie)![1]!)) as Record<string, Preference>;
    } catch {
      return {}; // nothing yet
    }
  }

  /** Sends what is pending, one request at a time: what is set meanwhile goes with the next. */
  async function save(): Promise<void> {
    const set = { ...pending };
    if (running || !current()?.purposes.includes('preference') || !Object.keys(set).length) return;
    running = true;
    const answer = await post('p', { set }).catch(() => undefined);
    running = false;
    if (!answer?.ok) return console.error('sluice: the preferences hold for this page alone:', answer ? await answer.text() : 'no answer');
    const cookie = stored();
    for (const [name, value] of Object.entries(set)) {
      // Where the cookie does not arrive, the page goes on by itself.
      if (pending[name] === value && (cookie[name] ?? null) === value) delete pending[name];
    }
    if (Object.entries(pending).some(([name, value]) => set[name] !== value)) save();
  }

  const put = (name: string, value: Preference | null) => {
    // JSON has no such number: it would be null, which removes, and never come back as what was set.
    if (typeof value === 'number' && !isFinite(value)) return console.error(`sluice: the preference ${name} is not finite: ${value}`);
    pending[name] = value;
    queueMicrotask(save); // several that are set at once go together
  };
  addEventListener('sluice:change', save);
  return { get: (name) => ({ ...stored(), ...pending })[name] ?? undefined, set: put, remove: (name) => put(name, null) };
}
