/** Least engagement worth a request of its own, in milliseconds. */
const WORTH = 500;

let since = 0;
let total = 0;

/** Accounts for the time up to now; goes on counting while `on` and the page is visible and focused. */
export function measure(on: boolean): void {
  const now = performance.now();
  if (since) total += now - since;
  since = on && !document.hidden && document.hasFocus() ? now : 0;
}

/** The milliseconds measured since the last call, 0 where they are not worth sending. */
export function take(): number {
  const ms = total > WORTH ? total | 0 : 0;
  total = 0;
  return ms;
}
