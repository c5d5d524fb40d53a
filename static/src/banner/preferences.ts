import type { Choice } from '../consent/choice';
import { ticks } from '../consent/selection';
import type { BannerData, CookieFact, Purpose, Service } from '../consent/wire';
import { h, link } from './dom';

/** The list of purposes and services with a switch for each. */
export interface Switches {
  element: HTMLElement;
  /** Names of what is on: services, and purposes without any. */
  ticked(): Set<string>;
}

/**
 * Builds the switches, off unless the standing choice has them on. A purpose's
 * switch moves those of its services; under Global Privacy Control not those of
 * other companies, which are switched on singly.
 */
export function switches({ purposes, texts: t, lang }: BannerData, choice: Choice | null, gpc: boolean): Switches {
  const ticked = ticks(purposes, choice);
  const flip = (name: string, on: boolean) => ticked[on ? 'add' : 'delete'](name);

  function purpose({ name, title, description, required, services = [] }: Purpose): HTMLElement {
    const own = h('input', { type: 'checkbox', id: name, 'aria-describedby': name + '-is', disabled: required });
    const inputs = required
      ? []
      : services.map((s) => h('input', { type: 'checkbox', id: `${name}-${s.name}`, checked: ticked.has(s.name) }));
    const summarise = () => {
      const on = inputs.filter((input) => input.checked).length;
      if (!inputs.length) return;
      own.checked = on > 0;
      own.indeterminate = on > 0 && on < inputs.length;
    };
    inputs.forEach((input, i) => {
      input.onchange = () => {
        flip(services[i]!.name, input.checked);
        summarise();
      };
    });
    own.onchange = () => {
      const on = own.checked;
      if (!inputs.length) flip(name, on);
      inputs.forEach((input, i) => {
        input.checked = on && !(gpc && services[i]!.external);
        flip(services[i]!.name, input.checked);
      });
      summarise();
    };
    if (inputs.length) summarise();
    else own.checked = required || ticked.has(name);
    return h(
      'fieldset',
      {},
      h('label', {}, h('h3', {}, title), required && h('small', {}, t.required), own),
      h('p', { id: name + '-is' }, description),
      ...services.map((s, i) => service(s, inputs[i])),
    );
  }

  function service(s: Service, input: HTMLElement | undefined): HTMLElement {
    const facts = [s.provider, country(s.country, lang), s.transfer].filter(Boolean).join(' · ');
    return h(
      'div',
      { class: 'service' },
      h('label', {}, h('span', {}, s.title), input),
      h('p', {}, facts, ' ', link(s.policy_url, t.policy!)),
      s.cookies?.length ? cookies(s.cookies) : undefined,
    );
  }

  const cookies = (list: CookieFact[]) =>
    h(
      'details',
      {},
      h('summary', {}, `${t.cookies} (${list.length})`),
      h(
        'table',
        {},
        h('thead', {}, row('th', t.cookie!, t.lasts!, t.use!)),
        h('tbody', {}, ...list.map((c) => row('td', c.name, c.lasts, c.purpose))),
      ),
    );

  return { element: h('div', {}, ...purposes.map(purpose)), ticked: () => ticked };
}

const row = (cell: 'th' | 'td', ...texts: string[]) => h('tr', {}, ...texts.map((text) => h(cell, {}, text)));

/** The name of a country in the visitor's language; the code where the browser knows none. */
function country(code: string | undefined, lang: string): string | undefined {
  try {
    return code && new Intl.DisplayNames(lang, { type: 'region' }).of(code);
  } catch {
    return code;
  }
}
