/** Milliseconds that a framework gets after a navigation to set the title, and to redirect. */
const SETTLE = 50;

/** Calls back once a navigation within the page has settled, by the history API or to a fragment. */
export function onRoute(settled: () => void): void {
  const later = () => setTimeout(settled, SETTLE);
  for (const name of ['pushState', 'replaceState'] as const) {
    const original = history[name];
    history[name] = (...state) => {
      original.apply(history, state);
      later();
    };
  }
  addEventListener('popstate', later); // fragments too (HTML, 7.4.6.2)
}
