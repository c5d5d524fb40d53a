/**
 * The first layer, loaded where a choice is due. `<base>/b` puts the site's
 * data in the place of __SLUICE_DATA__; the preferences follow when they are
 * opened, and take from here what both need.
 */
import { type Selection, optional, switched } from '../consent/selection';
import type { FirstData, Method, Texts } from '../consent/wire';
import { decide, kept } from './decide';
import { h, link } from './dom';
import { createFrame } from './frame';
import type { Kit } from './kit';

declare const __SLUICE_DATA__: FirstData;

const data = __SLUICE_DATA__;
const { texts: t, purposes, dir, lang, renew } = data;
const sluice = window.sluice!;
const inner = sluice._;

let layer: HTMLElement | undefined;
let busy = false;
let settled = false; // answered

const frame = createFrame(data.theme ?? {}, reveal);

/** Shows what is open in the top layer, above whatever z-index the page uses. */
function reveal(): void {
  try {
    layer?.showPopover();
  } catch {
    // shown already, or an older browser, where it is merely fixed
  }
  if (!kit.dialog) return;
  kit.dialog.open = false;
  kit.dialog.showModal();
}

/**
 * The buttons of a layer, in its words. Reject and accept are equals: same
 * class, same size, side by side.
 */
function buttons({ reject, accept }: Texts, third: HTMLElement, changed?: FirstData['renew']): HTMLElement {
  const button = (on: boolean, text: string | undefined, method: Method) =>
    h('button', { class: 'answer', onclick: () => answer(switched(purposes, sluice.consent, on, kit.gpc, changed), changed ? 'custom' : method) }, text!);
  return h(
    'div',
    { class: 'buttons' },
    button(false, reject, sluice.consent?.purposes[0] ? 'withdraw' : 'reject_all'),
    button(true, accept, 'accept_all'),
    third,
  );
}

const closer = (label: string, onclick: () => void) => h('button', { class: 'close', 'aria-label': label, onclick }, '✕');

/** The day of the standing choice, in words. */
const since = () => sluice.consent && new Date(sluice.consent.time * 1000).toLocaleDateString(lang, { dateStyle: 'long' });

/** The first layer: a region, not a dialog. It takes no focus and leaves the page usable. */
function ask(): void {
  if (sluice.consent) inner.sync(); // the answer that brought this took back what is asked anew
  if (kept(inner) && sluice.consent?.notice !== data.notice.version) inner.forget(); // and could not, without cookies
  if (layer || (sluice.consent && !renew)) return;
  layer = h(
    'section',
    { 'aria-labelledby': 'title', lang, dir, class: data.layout, popover: 'manual' },
    h(
      'div',
      {},
      h('header', {}, h('h2', { id: 'title' }, t.title), t.close && closer(t.close, dismiss)),
      h('p', {}, t.intro!.replace('{date}', since()!)),
      h('ul', {}, ...optional(purposes, renew).map((p) => h('li', {}, h('b', {}, p.title), ' ', p.description, ' ', renew?.[p.name]))),
      h('p', {}, t.ignore, ' ', link(data.notice.policy_url, t.policy!)),
      h('p', { role: 'status' }),
    ),
    buttons(t, h('button', { onclick: open }, t.choose), renew),
  );
  frame.root.append(layer);
  frame.mount();
  reveal();
  setTimeout(() => frame.cover(layer), 100); // once the banner is seen: until then nothing else is laid out
}

/** Takes the first layer away. Closing it is no answer: nothing is stored, and the next page asks again, but this one does not. */
function dismiss(closed?: unknown): void {
  layer?.remove();
  if (!closed) layer = undefined;
  frame.cover();
  leave();
}

/** Opens the preferences, which are loaded when it is first opened. */
function open(): void {
  if (kit.open) kit.open();
  else inner.load(`b?site=${data.site}&lang=${lang}&variant=${data.variant ?? ''}&more=1`, () => kit.open?.());
}

/** Takes the host out of the page where nothing is shown any more. */
function leave(): void {
  if (!frame.root.firstChild) frame.unmount();
}

function say(text: string): void {
  for (const status of frame.root.querySelectorAll('[role=status]')) status.textContent = text;
}

/** Sends an answer; the layers stay until it is saved. */
async function answer(selection: Selection, method: Method): Promise<void> {
  if (busy) return;
  busy = true;
  say('');
  const outcome = await decide(sluice, data, selection, method);
  busy = false;
  if (outcome === 'failed' || (outcome === 'stale' && inner.renewed)) return say(t.failed!);
  const opened = !!kit.dialog;
  kit.dialog?.close();
  dismiss();
  if (outcome === 'saved') {
    settled = true;
    return confirm();
  }
  inner.renewed = true;
  again(opened);
}

/** Fetches the banner anew: this one asks what was answered, or is out of date. */
function again(preferences?: boolean): void {
  inner.kit = inner.show = undefined;
  inner.ask(preferences);
}

/** Tells that the choice is saved, also to screen readers (WCAG 2.2, 4.1.3). */
function confirm(): void {
  const note = h('output', { lang, dir });
  frame.root.append(note);
  frame.mount();
  setTimeout(() => (note.textContent = t.saved!), 50);
  setTimeout(() => {
    note.remove();
    leave();
  }, 4000);
}

const kit: Kit = {
  get gpc() {
    return !!data.gpc && !!(navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl;
  },
  frame,
  h,
  link,
  closer,
  buttons,
  answer,
  leave,
  since,
};
// One that was loaded twice stands aside.
inner.kit ??= kit;
inner.show ??= (preferences) => {
  if (settled && !preferences) return again();
  const show = () => ((preferences ?? kit.open) ? open() : ask());
  if (document.body) setTimeout(show); // in a task of its own: neither is a long one
  else document.addEventListener('DOMContentLoaded', show);
};
inner.show(); // what the script waited for, without an event

// Decided in another tab.
addEventListener('sluice:change', () => {
  if (sluice.consent && !sluice.consent.pending && layer && !busy) dismiss();
});
