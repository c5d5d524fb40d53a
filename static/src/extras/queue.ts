import type { TrackedEvent } from '../consent/wire';
import type { Tracker } from '../tracker/tracker';

/** Milliseconds until events that the server did not take are sent once more. */
const AGAIN = 5000;

/**
 * Characters of JSON in one request: at three bytes each they stay below the
 * 64 KiB that a body may have, and that a page may have under way when it is left
 * (Fetch, 4.5: the limit of keepalive requests).
 */
const ROOM = 20_000;

/**
 * Makes the tracker wait for its turn: events of one task travel together, and
 * one request at a time keeps their order; a page that is left has no such time.
 * What is not taken is sent once more: the server knows an event by its id, and
 * counts none twice. Returns what sends at once.
 */
export function queue(tracker: Tracker): (events: TrackedEvent[]) => void {
  const tried = new WeakSet<TrackedEvent>();
  let busy = false;

  async function flush(leaving?: boolean): Promise<void> {
    if (!tracker.may() || (busy && !leaving)) return;
    const waiting = tracker.lost; // after a withdrawal it is another one
    const events: TrackedEvent[] = [];
    for (let room = ROOM; waiting[0] && room > 0; ) {
      const event = waiting.shift()!;
      room -= Math.max(JSON.stringify(event).length, ROOM / 100); // and 100 events are the server's most
      events.push(event);
    }
    if (!events[0]) return;
    busy = true;
    let pause = 0;
    const sent = tracker.post(events);
    if (leaving) flush(leaving);
    try {
      await sent;
    } catch {
      waiting.unshift(...events.filter((event) => !tried.has(event) && tried.add(event)));
      pause = AGAIN;
    }
    busy = false;
    setTimeout(flush, pause);
  }

  const put = (events: TrackedEvent[]) => tracker.lost.push(...events);
  tracker.send = (events) => {
    put(events);
    setTimeout(flush);
  };
  // What was lost before this was loaded, or is found to be now: its answer was still under way.
  for (const pause of [0, AGAIN]) setTimeout(flush, pause);
  return (events) => {
    put(events);
    flush(true);
  };
}
