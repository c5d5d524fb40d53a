/**
 * The embedded script, the same bytes for every site. It reads the choice and
 * behaves by it; where there is none it fetches the banner, and nothing else
 * happens: nothing is stored, nothing sent, nothing measured.
 */
import type { Inner, Sluice } from './api';
import type { Choice } from './consent/choice';
import { post } from './door';
import { choice, forget, memory, sync } from './gate';
import { load, trusted } from './loader';
import { base, lang, measure, site } from './tag';
import { startTracker } from './tracker/tracker';

function ask(open?: boolean): void {
  if (inner.show) inner.show(!!open);
  else load(`b?site=${site}&lang=${lang}&open=${+!!open}`); // and shows what it holds
}

const inner: Inner = Object.assign(memory, { measure, sync, base, load, forget, lang, site, post, ask });

/** Loads a chunk and starts it. */
const use = (name: string) => load(name, () => inner.chunk!(inner, trusted));

let due: unknown;
const watcher = new MutationObserver(() => (due ||= setTimeout(look, 50)));

/** Looks for what the page marked, and for Google's tags: the rest is the business of a chunk. */
function look(): void {
  due = 0;
  if (!document.querySelector('[src$="/g.js"],[src*=tagmanager],[data-purpose],[data-prefs],[data-service]')) return;
  watcher.disconnect();
  use(__chunks.marked);
}

async function start(): Promise<Choice | null> {
  // A page that is prerendered may never be seen: https://wicg.github.io/nav-speculation/prerendering.html
  if ((document as { prerendering?: boolean }).prerendering)
    await new Promise((shown) => document.addEventListener('prerenderingchange', shown));

  if (location.href.includes('sluice=debug')) await new Promise<void>((there) => load(__chunks.inspect, there));
  // Safari has no requestIdleCallback before version 27.
  const more = () => (window.requestIdleCallback || setTimeout)(() => tracker.may() && use(__chunks.extras + '?site=' + site));
  const tracker = (inner.tracker = startTracker(ask, more));
  api.track = tracker.track;
  // First of all, for the banner is to be seen soon. Where events are sent, their answer says whether there is something to ask. A refusal is left alone.
  tracker.may() || (choice && !choice.pending && !choice.purposes[0]) || ask();
  addEventListener('visibilitychange', sync);
  addEventListener('click', (click) => {
    if (!(click.target as Element).closest?.('[data-sluice=choices]')) return;
    click.preventDefault();
    ask(true);
  });
  watcher.observe(document, { childList: true, subtree: true }); // after the banner's script, which is none of its business
  look();
  return choice;
}

const api: { -readonly [K in keyof Omit<Sluice, 'ready'>]: Sluice[K] } & { ready?: Sluice['ready'] } = {
  open: () => ask(true),
  track() {},
  get consent() {
    return choice;
  },
  on(type, listener) {
    addEventListener('sluice:' + type, () => listener(choice));
  },
  _: inner,
};

if (!window.sluice) {
  window.sluice = api as Sluice;
  api.ready = start();
}
