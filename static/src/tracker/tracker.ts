import type { Props, TrackedEvent } from '../consent/wire';
import { expireCookie } from '../cookies';
import { post } from '../door';
import { current, forget, sync } from '../gate';
import { listen } from '../listen';
import { pageviews } from '../tag';
import { measure, take } from './engagement';
import { SESSION, random, session } from './session';

/** Own statistics, a service under analytics like any other. */
const STATISTICS = 'statistics';

/** Milliseconds that a framework gets after a navigation to set the title, and to redirect. */
const SETTLE = 50;

/** Sends one event, where statistics are granted. */
export type Track = (name: string, props?: Props) => void;

/**
 * Counts pageviews and engagement time, and carries the page's own events,
 * from a grant of statistics to its withdrawal; before and after it does nothing.
 * `ask` is called where the server wants a new decision.
 */
export function startTracker(ask: () => void): Track {
  let on = false;
  let page = ''; // counted last, without its fragment
  let referrer = document.referrer;

  const grants = () => !!current()?.services.includes(STATISTICS);
  const granted = () => (sync(), grants());

  const event = (name: string, more?: Partial<TrackedEvent>): TrackedEvent => ({
    id: random(),
    name,
    url: location.href,
    title: document.title,
    referrer,
    ts: Date.now(),
    session: session(),
    screen: [screen.width, screen.height],
    ...more,
  });

  const engagement = (): TrackedEvent[] => {
    measure(on);
    const ms = take();
    return ms ? [event('engagement', { url: page || location.href, engagement_ms: ms })] : [];
  };

  async function send(events: TrackedEvent[]): Promise<void> {
    if (!events[0]) return;
    try {
      const answer = await post('e', { sent: Date.now(), events });
      const dropped = answer.headers.get('sluice-dropped')!; // null matches nothing below
      const stale = /stale|expired|bad/.test(dropped);
      if (stale || /withdrawn/.test(dropped)) forget();
      if (stale) ask();
    } catch {
      // away, or reported by post: an event is not worth a retry
    }
  }

  function view(): void {
    const url = location.href.split('#')[0]!;
    if (!pageviews || url === page || !granted()) return;
    const events = engagement();
    if (page) referrer = page;
    page = url;
    send([...events, event('pageview')]);
  }

  const later = () => setTimeout(view, SETTLE);

  listen('sluice:change', () => {
    const now = grants();
    if (now === on) return;
    on = now;
    page = '';
    measure(on);
    take(); // nothing from before the grant, nothing after the withdrawal
    if (on) view();
    else expireCookie(SESSION);
  });

  for (const name of ['pushState', 'replaceState'] as const) {
    const original = history[name];
    history[name] = (...state) => {
      original.apply(history, state);
      later();
    };
  }
  listen('popstate', later);

  // Leaving a page hides it first. `persisted`: back from the back-forward cache, which is a visit to the page.
  listen<PageTransitionEvent>('focus blur pageshow visibilitychange', ({ persisted }) => {
    if (!granted()) return;
    measure(on);
    if (document.hidden) send(engagement());
    else if (persisted) {
      page = '';
      view();
    }
  });

  return (name, props) => {
    if (granted()) send([event(name, props && { props })]);
  };
}
