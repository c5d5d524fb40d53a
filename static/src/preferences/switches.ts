import type { Choice } from '../consent/choice';
import { ticks } from '../consent/selection';
import type { FullData, Purpose } from '../consent/wire';
import { facts } from './facts';
import { h } from './lent';

/** The purposes and their services, with a checkbox for each. */
export interface Switches {
  readonly elements: HTMLElement[];
  /** Names of what is on: services, and purposes without any. */
  readonly ticked: ReadonlySet<string>;
}

/**
 * Builds the checkboxes, off unless the standing choice has them on. A purpose's
 * box moves those of its services; under Global Privacy Control not those of
 * other companies, which are switched on singly.
 */
export function switches(data: FullData, choice: Choice | null, gpc: boolean): Switches {
  const { purposes, texts: t } = data;
  const ticked = ticks(purposes, choice);
  const flip = (name: string, on: boolean) => ticked[on ? 'add' : 'delete'](name);
  const box = (id: string, more: object) => h('input', { type: 'checkbox', id, ...more });

  function purpose({ name, title, description, required, services = [] }: Purpose): HTMLElement {
    const described = { 'aria-describedby': name + '-is' };
    const own = box(name, { ...described, disabled: required, checked: required || ticked.has(name) });
    const inputs = required ? [] : services.map((s) => box(`${name}-${s.name}`, { checked: ticked.has(s.name) }));
    const summarise = () => {
      const on = inputs.filter((input) => input.checked).length;
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
      if (!inputs[0]) return flip(name, on);
      inputs.forEach((input, i) => {
        input.checked = on && !(gpc && services[i]!.external);
        flip(services[i]!.name, input.checked);
      });
      summarise();
    };
    if (inputs[0]) summarise();
    return h(
      'div',
      { class: 'block' },
      h('label', {}, h('h3', {}, title), required && h('small', {}, t.required), own),
      h('p', { id: name + '-is' }, description),
      ...services.map((s, i) =>
        h(
          'div',
          { class: 'service' },
          h(inputs[i] ? 'label' : 'div', {}, h('b', {}, s.title), inputs[i]),
          s.description && h('p', {}, s.description),
          facts(s, data),
        ),
      ),
    );
  }

  return { elements: purposes.map(purpose), ticked };
}
