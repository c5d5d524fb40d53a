/**
 * The embedded script, the same bytes for every site. It reads the choice and
 * behaves by it; where there is none it fetches the banner, and nothing else
 * happens: nothing is stored, nothing sent, nothing measured.
 */
import type { Inner, Sluice } from './api';
import type { Choice } from './consent/choice';
import { post } from './door';
import { current, forget, memory, sync } from './gate';
import { listen } from './listen';
import { load, trusted } from './loader';
import { base, lang, measure, site } from './tag';
import { startTracker } from './tracker/tracker';

function ask(open?: boolean): void {
  const show = () => inner.show?.(open);
  if (inner.show) return show();
  load(`b?site=${site}&lang=${lang}${open ? '&open=1' : ''}`, show);
}

const inner: Inner = Object.assign(memory, { base, site, lang, measure, current, listen, ask, post, sync, forget, load });

/** Loads a chunk and starts it. */
const use = (name: string) => load(name, () => inner.chunk!(inner, trusted));

/** Safari has no such thing before version 27. */
const idle: (then: () => void) => unknown = window.requestIdleCallback ?? setTimeout;

const MARKED = '[data-purpose],[data-service],[data-prefs],[src*=tagmanager],[src$="/g.js"]';
let due: unknown;
const watcher = new MutationObserver(() => (due ||= setTimeout(look, 50)));

/** Looks for what the page marked, and for Google's tags: the rest is the business of a chunk. */
function look(): void {
  due = undefined;
  if (!document.querySelector(MARKED)) return;
  watcher.disconnect();
  use(__chunks.marked);
}

async function start(): Promise<Choice | null> {
  // A page that is prerendered may never be seen: https://wicg.github.io/nav-speculation/prerendering.html
  if ((document as { prerendering?: boolean }).prerendering)
    await new Promise((shown) => document.addEventListener('prerenderingchange', shown));

  if (/sluice=debug/.test(location.search)) await new Promise<void>((there) => load(__chunks.inspect, there));
  const tracker = (inner.tracker = startTracker(ask, () => idle(() => tracker.may() && use(`${__chunks.extras}?site=${site}`))));
  api.track = tracker.track;
  listen('visibilitychange', sync);
  listen<MouseEvent>('click', (click) => {
    if (!(click.target as Element).closest?.('[data-sluice=choices]')) return;
    click.preventDefault();
    ask(true);
  });

  sync();
  watcher.observe(document, { childList: true, subtree: true });
  look();
  const choice = current();
  // Where events are sent, their answer says whether there is something to ask. A refusal is left alone.
  if (!tracker.may() && (!choice || choice.pending || choice.purposes[0])) ask();
  return choice;
}

const api: { -readonly [K in keyof Sluice]: Sluice[K] } = {
  open: () => ask(true),
  track() {},
  get consent() {
    return current();
  },
  on(type, listener) {
    listen('sluice:' + type, () => listener(current()));
  },
  ready: undefined!,
  _: inner,
};

if (!window.sluice) {
  window.sluice = api;
  api.ready = start();
}
