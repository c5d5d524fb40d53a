import type { Part } from './part';

/** Least engagement worth an event, in milliseconds. */
const WORTH = 500;

/** How long the page was visible and focused. `since`: when it came to be seen, in milliseconds of performance.now(); 0: just now. */
export function engagement(since: number): Part {
  let total = 0;
  const looks = () => !document.hidden && document.hasFocus();
  since = looks() ? since || performance.now() : 0;

  /** Accounts for the time up to now. */
  function account(): void {
    const now = performance.now();
    if (since) total += now - since;
    since = looks() ? now : 0;
  }
  for (const type of ['focus', 'blur', 'visibilitychange', 'pageshow']) addEventListener(type, account, true);

  return {
    name: 'engagement',
    take() {
      account();
      const ms = total > WORTH ? total | 0 : 0;
      total = 0;
      return ms ? { engagement_ms: ms } : undefined;
    },
  };
}
