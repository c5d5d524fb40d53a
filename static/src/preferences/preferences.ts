/**
 * The preferences, loaded when they are opened: every purpose and service by
 * itself, what each of them is, and who answers for it. `<base>/b` puts the
 * site's data in the place of __SLUICE_DATA__.
 */
import { chosen } from '../consent/selection';
import type { FullData } from '../consent/wire';
import { responsible } from './facts';
import { h, kit } from './lent';
import css from './preferences.css';
import { switches } from './switches';

declare const __SLUICE_DATA__: FullData;

const data = __SLUICE_DATA__;
const { texts: t, purposes, dir, lang } = data;
const base = new URL('.', (document.currentScript as HTMLScriptElement).src).href;

const style = new CSSStyleSheet();
style.replaceSync(css);
kit.frame.root.adoptedStyleSheets = [...kit.frame.root.adoptedStyleSheets, style];

/** A native modal dialog: what lies behind is inert, and Escape leaves it without an answer. */
kit.open = () => {
  if (kit.dialog?.open) return;
  const { consent } = window.sluice!;
  const list = switches(data, consent, kit.gpc);
  const save = () => kit.answer(chosen(purposes, list.ticked), 'custom');
  const dialog: HTMLDialogElement = h(
    'dialog',
    { 'aria-labelledby': 'choice', lang, dir, onclose: () => closed(dialog) },
    h(
      'div',
      {},
      h(
        'header',
        {},
        h('h2', { id: 'choice', tabindex: '-1', autofocus: true }, t.preferences),
        kit.closer(t.close!, () => dialog.close()),
      ),
      consent && h('p', {}, t.since!.replace('{date}', kit.since()!)),
      kit.gpc && h('p', { class: 'note' }, t.gpc),
      ...list.elements,
      responsible(data, base),
    ),
    h('footer', {}, h('p', { role: 'status' }), kit.buttons(t, h('button', { onclick: save }, t.save))),
  );
  kit.dialog = dialog;
  kit.frame.root.append(dialog);
  kit.frame.mount();
  if (!dialog.open) dialog.showModal();
};

/** Told in a task of its own, before which another one may have been opened. */
function closed(dialog: HTMLDialogElement): void {
  dialog.remove();
  if (kit.dialog === dialog) kit.dialog = undefined;
  kit.leave();
}
