import type { Part } from './part';

/** How many errors the page's scripts ran into: their number alone, for their text may hold anything. */
export function errors(): Part {
  let count = 0;
  const note = () => count++;
  addEventListener('error', note);
  addEventListener('unhandledrejection', note);

  return {
    name: 'error',
    take() {
      const n = count;
      count = 0;
      return n ? { props: { count: n } } : undefined;
    },
  };
}
