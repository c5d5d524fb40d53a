import type { Choice } from './choice';
import type { Purpose, ServiceName } from './wire';

/** What is ticked in the preferences: names of services, and of purposes that have none. */
export type Ticked = ReadonlySet<string>;

/** The answer that goes to the server: every purpose and service named, none implied. */
export interface Selection {
  purposes: Record<string, boolean>;
  services: Record<string, boolean>;
}

type Purposes = readonly Purpose<ServiceName>[];

/** Those that a visitor may grant or refuse; essential is not asked for. `only` narrows them to its names. */
export const optional = <P extends Purpose<ServiceName>>(purposes: readonly P[], only?: object): P[] =>
  purposes.filter((p) => !p.required && (!only || p.name in only));

/** What there is to switch: the services of a purpose, or itself where it has none. */
export const switchesOf = (p: Purpose<ServiceName>): ServiceName[] => (p.services?.[0] ? p.services : [p]);

/**
 * The choice that stands with every purpose, or those in `only`, switched on or
 * off. Under Global Privacy Control a recipient outside the controller stays
 * off until it is switched on singly (design section 4).
 */
export function switched(purposes: Purposes, choice: Choice | null, on: boolean, gpc: boolean, only?: object): Selection {
  const ticked = ticks(purposes, choice);
  for (const { name, external } of optional(purposes, only).flatMap(switchesOf)) ticked[on && !(gpc && external) ? 'add' : 'delete'](name);
  return chosen(purposes, ticked);
}

/**
 * What the visitor ticked. A purpose counts as granted where one of its services
 * is; a purpose without services stands for itself.
 */
export function chosen(purposes: Purposes, ticked: Ticked): Selection {
  const selection: Selection = { purposes: {}, services: {} };
  for (const p of optional(purposes)) {
    selection.purposes[p.name] = switchesOf(p).some((s) => ticked.has(s.name));
    for (const s of p.services ?? []) selection.services[s.name] = ticked.has(s.name);
  }
  return selection;
}

/** What to tick when the preferences open: nothing, or the choice that stands. */
export function ticks(purposes: Purposes, choice: Choice | null): Set<string> {
  const names = optional(purposes).flatMap((p) => switchesOf(p).filter((s) => choice?.[s === p ? 'purposes' : 'services'].includes(s.name)));
  return new Set(names.map((s) => s.name));
}

/** Whether a selection leaves everything granted that a choice grants. */
export const covers = ({ purposes, services }: Selection, choice: Choice): boolean =>
  choice.purposes.every((name) => purposes[name]) && choice.services.every((name) => services[name]);
