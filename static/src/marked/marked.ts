/**
 * What the page marked, loaded where there is any:
 * `<script type="text/plain" data-service="…">`, and iframes, images and links
 * with `data-src`. Each takes effect once its purpose and its service are
 * granted, in document order, also where it is inserted later; and a frame, an
 * image or a link stops when the grant ends.
 */
import type { Inner } from '../api';
import { current } from '../consent/standing';
import type { Frames } from '../frames/frames';
import type { Policy } from '../loader';
import { readFacts } from './facts';
import { createGoogle } from './google';
import { createPrefs } from './prefs';
import { createRunner } from './runner';

/** What is looked at: marked elements, and Google's tag, marked or not. */
const SEEN = '[data-purpose],[data-service],script[src*=googletagmanager]';

function start(inner: Inner, trusted: Policy): void {
  const facts = readFacts(inner);
  const google = createGoogle(inner);
  const runner = createRunner(trusted);

  const all = () => document.querySelectorAll<HTMLElement>('[data-purpose],[data-service]');

  /** Whether a marked element may take effect. The essential asks nobody. */
  function granted({ dataset: { purpose, service } }: HTMLElement): boolean {
    if (purpose === 'essential') return true;
    inner.sync(); // another window may have withdrawn, also while a script was loading, and not every browser tells
    const choice = current();
    return (!purpose || !!choice?.purposes.includes(purpose)) && (!service || !!choice?.services.includes(service));
  }

  /** One run at a time, so that a later one does not overtake a script that is still loading. */
  let last = Promise.resolve();
  function activate(): void {
    inner.sync();
    google.update(); // before a tag of Google's runs, and before its cookies are taken away
    google.warn();
    rest();
    last = last.then(scripts, scripts);
  }

  /** Frames, images and links have a chunk of their own. */
  let frames: Frames | undefined;
  let asked = false;
  function others(): Frames | undefined {
    if (!asked)
      inner.load(__chunks.frames, () => {
        frames = inner.frames!(inner, facts);
        activate();
      });
    asked = true;
    return frames;
  }

  let told = false;
  /** What does not run takes effect, or ends, at once: no script holds it up. */
  function rest(): void {
    const waiting = new Set<string>();
    for (const marked of all()) {
      const open = granted(marked);
      if (!open) waiting.add(marked.dataset.service || marked.dataset.purpose!);
      if (!(marked instanceof HTMLScriptElement)) others()?.[open ? 'load' : 'block'](marked);
    }
    if (!told && waiting.size) console.info('sluice: blocked until the visitor agrees:', [...waiting].join(', '));
    told = true;
  }

  async function scripts(): Promise<void> {
    for (const marked of all()) if (marked instanceof HTMLScriptElement && granted(marked)) await runner.run(marked);
    await runner.finish(granted);
  }

  /** A service that cannot be stopped in a running page is stopped by a new one; then it has not run. So is one of which this is not known. */
  async function stop(): Promise<void> {
    const choice = current();
    const lost = [...runner.services].filter((name) => choice && !choice.services.includes(name));
    if (!lost.length) return;
    const known = await facts().catch(() => undefined);
    if (lost.some((name) => !known || known.services[name]?.reload)) location.reload();
  }

  if (document.querySelector('script[data-prefs]')) {
    window.sluice!.prefs = createPrefs(inner);
    dispatchEvent(new CustomEvent('sluice:prefs'));
  }
  // A choice made in another tab holds here at once, where the browser tells (it needs a secure context).
  (window as { cookieStore?: EventTarget }).cookieStore?.addEventListener('change', inner.sync);
  activate();
  addEventListener('DOMContentLoaded', activate);
  addEventListener('sluice:change', () => {
    runner.recall(granted);
    activate();
    stop();
  });
  new MutationObserver((changes) => {
    const added = changes.flatMap(({ addedNodes }) => [...addedNodes] as Element[]);
    if (frames?.mend() || added.some((node) => node.matches?.(SEEN) || node.querySelector?.(SEEN))) activate();
  }).observe(document, { childList: true, subtree: true });
}

window.sluice!._.chunk = start;
