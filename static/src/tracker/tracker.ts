import type { Extra, Props, TrackedEvent } from '../consent/wire';
import { expireCookie } from '../cookies';
import { post } from '../door';
import { choice, forget, sync } from '../gate';
import { measure, pageviews } from '../tag';
import { random, session } from './session';

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
  /** Counts the page after a navigation within it, where it is another one. The extras put one of their own in its place. */
  route(): void;
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
      if (tracker.may()) tracker.send([tracker.event(name, { props, ...extra })]);
    },

    may: () => (sync(), on), // a withdrawal in another tab holds here as well

    event: (name, more) => ({
      title: document.title,
      url: location.href,
      ts: Date.now(),
      name,
      session: session(),
      id: random(),
      referrer,
      screen: [screen.width, screen.height],
      ...more,
    }),

    view() {
      const events = tracker.leave?.() || [];
      referrer = tracker.page || referrer;
      tracker.page = location.href;
      tracker.seen = performance.now();
      tracker.send([...events, tracker.event('pageview'), ...(tracker.shown?.() || [])]);
    },

    route() {
      if (tracker.page && tracker.page.split('#')[0] != location.href.split('#')[0] && tracker.may()) tracker.view();
    },

    async post(events) {
      const answer = await post('e', { sent: Date.now(), events, driven: navigator.webdriver });
      if (answer.status > 428) throw answer; // 429, 5xx: later
      const dropped = answer.headers.get('sluice-dropped')!; // null matches nothing below
      if (/exp|bad|with/.test(dropped)) forget(); // expired, bad_token, withdrawn
      if (/exp|bad/.test(dropped) || answer.headers.get('sluice-notice')) ask();
      if (dropped) console.warn('sluice: ' + (await answer.text()));
    },

    send(events) {
      const { lost } = tracker;
      tracker.post(events).catch(() => lost.push(...events));
    },

    lost: [],
    seen: 0,
    page: '',
  };

  // A framework gets 50 ms after a navigation within the page to set the title, and to redirect.
  const later = () => setTimeout(() => tracker.route(), 50);

  addEventListener('sluice:change', () => {
    const now = !!choice?.services.includes('statistics');
    if (now == on) return;
    on = now;
    tracker.lost = []; // nothing after the withdrawal
    tracker.page = '';
    if (!on) return expireCookie('sl_s');
    if (pageviews) tracker.view();
    if (!tracker.leave) more();
    if (!(measure?.includes('routes') ?? true)) return;
    // Not before a grant: a first visit does without what this costs. After a second grant a second listener finds nothing left to count.
    const navigation = (window as { navigation?: EventTarget }).navigation;
    if (navigation) return navigation.addEventListener('currententrychange', later);
    // Firefox before 147 and Safari before 26.2.
    for (const name of ['pushState', 'replaceState'] as const) {
      const original = history[name];
      history[name] = (...state) => {
        original.apply(history, state);
        later();
      };
    }
    addEventListener('popstate', later); // fragments too (HTML, 7.4.6.2)
  });

  // Back from the back-forward cache, which is a visit to the page. A grant that was given meanwhile has counted it: visibilitychange comes first.
  addEventListener('pagehide', () => (tracker.page = ''));
  addEventListener('pageshow', () => pageviews && tracker.may() && !tracker.page && tracker.view());

  return tracker;
}
