/**
 * The banner, loaded where there is no choice, or where the preferences are
 * opened. `<base>/b` puts the site's data in the place of __SLUICE_DATA__.
 */
import { type Selection, all, chosen, none, optional } from '../consent/selection';
import type { BannerData, Method } from '../consent/wire';
import { decide } from './decide';
import { h, link } from './dom';
import { createFrame } from './frame';
import { switches } from './preferences';

declare const __SLUICE_DATA__: BannerData;

/** Where this script came from: on a test host that is not the site's public address. */
const base = new URL('.', (document.currentScript as HTMLScriptElement).src).href;

const data = __SLUICE_DATA__;
const { texts: t, purposes, controller, notice, dir, lang } = data;
const sluice = window.sluice!;
const inner = sluice._;
const gpc = !!(navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl;
const policy = () => link(notice.policy_url, t.policy!);

let layer: HTMLElement | undefined;
let dialog: HTMLDialogElement | undefined;
let busy = false;

const frame = createFrame(data.theme ?? {}, reveal);

/** Shows what is open in the top layer, above whatever z-index the page uses. */
function reveal(): void {
  try {
    layer?.showPopover();
  } catch {
    // shown already, or an older browser, where it is merely fixed
  }
  if (!dialog) return;
  dialog.open = false;
  dialog.showModal();
}

/** The buttons of a layer. Accept and reject are equals: same class, same size, side by side. */
function buttons(third: HTMLElement): HTMLElement {
  const refuse = () => answer(none(purposes), sluice.consent?.purposes.length ? 'withdraw' : 'reject_all');
  return h(
    'div',
    { class: 'buttons' },
    h('button', { class: 'answer', onclick: refuse }, t.reject),
    h('button', { class: 'answer', onclick: () => answer(all(purposes, gpc), 'accept_all') }, t.accept),
    third,
  );
}

const closer = (onclick: () => void) => h('button', { class: 'close', 'aria-label': t.close, onclick }, '✕');

/** The first layer: a region, not a dialog. It takes no focus and leaves the page usable. */
function ask(): void {
  if (layer || sluice.consent) return;
  layer = h(
    'section',
    { 'aria-labelledby': 'title', lang, dir, class: data.layout, popover: 'manual' },
    h(
      'div',
      {},
      h('header', {}, h('h2', { id: 'title' }, t.title), data.close_button && closer(dismiss)),
      h('p', {}, t.intro!.replace('{controller}', controller.name)),
      h('ul', {}, ...optional(purposes).map((p) => h('li', {}, h('b', {}, p.title), ' ', p.description))),
      h('p', {}, t.ignore, ' ', policy()),
      h('p', { role: 'status' }),
    ),
    buttons(h('button', { onclick: open }, t.choose)),
  );
  frame.root.append(layer);
  frame.mount();
  reveal();
  frame.cover(layer);
}

/** Takes the first layer away. Closing it is no answer: nothing is stored, and the next page asks again. */
function dismiss(): void {
  layer?.remove();
  layer = undefined;
  frame.cover();
  leave();
}

/** The second layer: every purpose and service by itself. Escape leaves it without an answer. */
function open(): void {
  if (dialog) return;
  const { consent } = sluice;
  const list = switches(data, consent, gpc);
  const since = consent && new Date(consent.time * 1000).toLocaleDateString(lang, { dateStyle: 'long' });
  dialog = h(
    'dialog',
    { 'aria-labelledby': 'choice', lang, dir, onclose: closed },
    h(
      'div',
      {},
      h('header', {}, h('h2', { id: 'choice', tabindex: '-1', autofocus: true }, t.preferences), closer(() => dialog!.close())),
      since ? h('p', {}, t.since!.replace('{date}', since)) : undefined,
      gpc && h('p', {}, t.gpc),
      list.element,
      h(
        'p',
        {},
        policy(),
        link(`${base}choices?site=${data.site}`, t.records!),
        controller.contact && link('mailto:' + controller.contact, t.contact!),
      ),
    ),
    h(
      'footer',
      {},
      h('p', { role: 'status' }),
      buttons(h('button', { onclick: () => answer(chosen(purposes, list.ticked()), 'custom') }, t.save)),
    ),
  );
  frame.root.append(dialog);
  frame.mount();
  if (!dialog.open) dialog.showModal();
}

function closed(): void {
  dialog?.remove();
  dialog = undefined;
  leave();
}

function leave(): void {
  if (!layer && !dialog) frame.unmount();
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
  const opened = !!dialog;
  closed();
  dismiss();
  if (outcome === 'saved') return confirm();
  inner.renewed = true;
  inner.show = undefined;
  inner.ask(opened);
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

inner.show = (preferences) => {
  const show = preferences ? open : ask;
  if (document.body) show();
  else document.addEventListener('DOMContentLoaded', show);
};

// Decided in another tab.
addEventListener('sluice:change', () => {
  if (sluice.consent && layer && !busy) dismiss();
});
