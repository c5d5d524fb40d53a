import type { Extra, Props, TrackedEvent } from '../consent/wire';
import { expireCookie } from '../cookies';
import { post } from '../door';
import { current, forget, sync } from '../gate';
import { listen } from '../listen';
import { pageviews } from '../tag';
import { SESSION, random, session } from './session';

/** Own statistics, a service under analytics like any other. */
const STATISTICS = 'statistics';

/** Sends one event, where statistics are granted. */
export type Track = (name: string, props?: Props, extra?: Extra) => void;

/** What the tracker lends to the extras (src/extras), which are loaded later, and where they take part in it. */
export interface Tracker {
  track: Track;
  /** Whether statistics are granted, as of now. */
  may(): boolean;
  /** Only under a grant: it prolongs the session. */
  event(name: string, more?: Partial<TrackedEvent>): TrackedEvent;
  /** Counts the page that is shown. Only under a grant. */
  view(): void;
  /** The address that was counted last, '' where none was. */
  page: string;
  /** When, in milliseconds of performance.now(); 0 where none was. */
  seen: number;
  /** Sends events; rejects where the server did not take them now. */
  post(events: TrackedEvent[]): Promise<void>;
  /** Sends events in one request. The extras put a queue in its place, which tries again. */
  send(events: TrackedEvent[]): void;
  /** What was not taken. */
  lost: TrackedEvent[];
  /** Set by the extras: what is still to be said of the page that is left, and what of the one that is shown. */
  leave?: () => TrackedEvent[];
  shown?: () => TrackedEvent[];
}

/**
 * Counts the page and carries its own events, from a grant of statistics to
 * its withdrawal; before and after it does nothing. `ask` is called where the
 * server wants a new decision, `more` at a grant while the extras are not there.
 */
export function startTracker(ask: () => void, more: () => void): Tracker {
  let on = false;
  let referrer = document.referrer;

  const tracker: Tracker = {
    track(name, props, extra) {
      if (tracker.may()) tracker.send([tracker.event(name, { ...(props && { props }), ...extra })]);
    },

    may: () => (sync(), on), // a withdrawal in another tab holds here as well

    event: (name, more) => ({
      id: random(),
      name,
      url: location.href,
      title: document.title,
      referrer,
      ts: Date.now(),
      session: session(),
      screen: [screen.width, screen.height],
      ...more,
    }),

    view() {
      const events = tracker.leave?.() ?? [];
      referrer = tracker.page || referrer;
      tracker.page = location.href;
      tracker.seen = performance.now();
      tracker.send([...events, tracker.event('pageview'), ...(tracker.shown?.() ?? [])]);
    },

    async post(events) {
      const answer = await post('e', { sent: Date.now(), driven: navigator.webdriver, events });
      if (answer.status > 428) throw answer; // 429, 5xx: later
      const dropped = answer.headers.get('sluice-dropped')!; // null matches nothing below
      const gone = /expired|bad/.test(dropped);
      if (gone || /withdrawn/.test(dropped)) forget();
      if (gone || answer.headers.get('sluice-notice')) ask();
      if (dropped) console.warn('sluice: ' + (await answer.text()));
    },

    send(events) {
      const { lost } = tracker;
      tracker.post(events).catch(() => lost.push(...events));
    },

    page: '',
    seen: 0,
    lost: [],
  };

  listen('sluice:change', () => {
    const now = !!current()?.services.includes(STATISTICS);
    if (now === on) return;
    on = now;
    tracker.page = '';
    tracker.lost = []; // nothing after the withdrawal
    if (!on) return expireCookie(SESSION);
    if (pageviews) tracker.view();
    if (!tracker.leave) more();
  });

  // Back from the back-forward cache, which is a visit to the page.
  listen<PageTransitionEvent>('pageshow', ({ persisted }) => {
    if (!persisted || !pageviews) return;
    tracker.page = '';
    if (tracker.may() && !tracker.page) tracker.view(); // may() counts the page where it finds a new grant
  });

  return tracker;
}
