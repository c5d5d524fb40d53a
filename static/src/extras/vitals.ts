import type { Part } from './part';

/** The parts of performance entries that are read; lib.dom has not all of them. */
export interface Shift {
  readonly startTime: number;
  readonly value: number;
  readonly hadRecentInput: boolean;
}
export interface Interaction {
  readonly interactionId: number;
  readonly duration: number;
}

/**
 * Cumulative layout shift: the largest sum of shifts within a window that lasts
 * 5 s at most and has no gap of 1 s (https://web.dev/articles/cls). Shifts
 * right after an input are expected, and do not count.
 */
export function layoutShift(): { add(shift: Shift): void; value(): number } {
  let most = 0;
  let sum = 0;
  let first = 0;
  let last = -Infinity;
  return {
    add({ startTime, value, hadRecentInput }) {
      if (hadRecentInput) return;
      if (startTime - last >= 1000 || startTime - first >= 5000) {
        sum = 0;
        first = startTime;
      }
      last = startTime;
      most = Math.max(most, (sum += value));
    },
    value: () => most,
  };
}

/**
 * Interaction to next paint: the longest interaction of a page, leaving out
 * one of each 50 (https://web.dev/articles/inp), in milliseconds; undefined
 * without any. Several events make up one interaction, which lasts as long as
 * the longest of them.
 */
export function nextPaint(): { add(event: Interaction): void; value(): number | undefined } {
  const interactions = new Map<number, number>();
  return {
    add({ interactionId: id, duration }) {
      if (id) interactions.set(id, Math.max(interactions.get(id) ?? 0, duration));
    },
    value: () => [...interactions.values()].sort((a, b) => b - a)[Math.floor(interactions.size / 50)],
  };
}

/**
 * Core web vitals and the time to first byte, of a page that was loaded under
 * a grant: largest contentful paint and first byte of the load, up to the first
 * time that the page is left or hidden; layout shift and next paint for each
 * page that it shows.
 */
export function vitals(): Part {
  const [navigation] = performance.getEntriesByType('navigation') as (PerformanceNavigationTiming & { activationStart?: number })[];
  const origin = navigation?.activationStart ?? 0; // of a page that was prerendered
  const since = (moment: number) => Math.max(0, Math.round(moment - origin)); // what came before it was shown took no time
  const observers: [PerformanceObserver, (entry: never) => void][] = [];
  let shifts = layoutShift();
  let paints = nextPaint();
  let paint = 0;
  let loading = true;
  const hiddenFrom = document.hidden ? 0 : Infinity; // as far as this browser tells; a paint after that says nothing
  let told: Record<string, number | undefined> = {};

  function observe<E>(type: string, each: (entry: E) => void): boolean {
    const supported = PerformanceObserver.supportedEntryTypes.includes(type);
    if (supported) {
      const observer = new PerformanceObserver((list) => (list.getEntries() as E[]).forEach(each));
      observer.observe({ type, buffered: true, durationThreshold: 16 } as PerformanceObserverInit);
      observers.push([observer, each]);
    }
    return supported;
  }
  observe<PerformanceEntry>('largest-contentful-paint', ({ startTime }) => {
    const [hidden] = performance.getEntriesByType('visibility-state').filter(({ name, startTime }) => name === 'hidden' && startTime >= origin); // Page Visibility Level 2
    if (startTime < (hidden?.startTime ?? hiddenFrom)) paint = since(startTime);
  });
  const shifting = observe<Shift>('layout-shift', (shift) => shifts.add(shift));
  observe<Interaction>('event', (event) => paints.add(event));

  return {
    name: 'web_vital',
    take() {
      for (const [observer, each] of observers) (observer.takeRecords() as never[]).forEach(each);
      const known: Record<string, number | undefined> = {
        TTFB: (loading && since(navigation?.responseStart ?? 0)) || undefined,
        LCP: (loading && paint) || undefined,
        INP: paints.value(),
        CLS: shifting ? Math.round(shifts.value() * 1e4) / 1e4 : undefined,
      };
      loading = false;
      const props: Record<string, number> = {};
      for (const [name, value] of Object.entries(known)) if (value !== undefined && value !== told[name]) props[name] = told[name] = value;
      return Object.keys(props)[0] ? { props } : undefined;
    },
    renew() {
      shifts = layoutShift();
      paints = nextPaint();
      loading = false;
      told = {};
    },
  };
}
