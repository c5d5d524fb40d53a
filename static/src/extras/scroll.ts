import type { Part } from './part';

/** How far down the page was shown, in per cent of its height at that time. */
export function scroll(): Part {
  let deepest: number, told: number;

  function look(): void {
    const { scrollHeight } = document.documentElement;
    deepest = Math.max(deepest, Math.min(100, Math.round(((scrollY + innerHeight) / scrollHeight) * 100)));
  }
  function renew(): void {
    deepest = told = 0;
    look();
  }
  renew();
  addEventListener('scroll', look, { passive: true });

  return {
    name: 'scroll',
    renew,
    take() {
      if (deepest <= told) return;
      told = deepest;
      return { props: { percent_scrolled: deepest } };
    },
  };
}
