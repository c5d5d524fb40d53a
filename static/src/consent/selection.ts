import type { Choice } from './choice';
import type { Purpose, Service } from './wire';

/** What is ticked in the preferences: names of services, and of purposes that have none. */
export type Ticked = ReadonlySet<string>;

/** The answer that goes to the server: every purpose and service named, none implied. */
export interface Selection {
  purposes: Record<string, boolean>;
  services: Record<string, boolean>;
}

/** Those that a visitor may grant or refuse; essential is not asked for. */
export const optional = (purposes: Purpose[]): Purpose[] => purposes.filter((p) => !p.required);

/**
 * "Accept all". Under Global Privacy Control a recipient outside the controller
 * stays off until it is switched on singly (design section 4), so `all` leaves it out.
 */
export function all(purposes: Purpose[], gpc: boolean): Selection {
  return select(purposes, () => true, (service) => !(gpc && service.external));
}

/** "Reject all". */
export const none = (purposes: Purpose[]): Selection => select(purposes, () => false, () => false);

/**
 * What the visitor ticked. A purpose counts as granted where one of its services
 * is; a purpose without services stands for itself.
 */
export function chosen(purposes: Purpose[], ticked: Ticked): Selection {
  return select(
    purposes,
    (p) => (p.services?.length ? p.services.some((s) => ticked.has(s.name)) : ticked.has(p.name)),
    (s) => ticked.has(s.name),
  );
}

/** What to tick when the preferences open: nothing, or the choice that stands. */
export function ticks(purposes: Purpose[], choice: Choice | null): Set<string> {
  const ticked = new Set<string>();
  for (const { name, services } of optional(purposes)) {
    for (const s of services ?? []) if (choice?.services.includes(s.name)) ticked.add(s.name);
    if (!services?.length && choice?.purposes.includes(name)) ticked.add(name);
  }
  return ticked;
}

/** Whether a selection leaves everything granted that a choice grants. */
export const covers = ({ purposes, services }: Selection, choice: Choice): boolean =>
  choice.purposes.every((name) => purposes[name]) && choice.services.every((name) => services[name]);

/** The choice that a selection amounts to, for a browser that is given no cookie. */
export function toChoice({ purposes, services }: Selection, notice: string, time: number): Choice {
  const granted = (of: Record<string, boolean>) => Object.keys(of).filter((name) => of[name]);
  return { notice, purposes: granted(purposes), services: granted(services), time };
}

function select(purposes: Purpose[], purpose: (p: Purpose) => boolean, service: (s: Service) => boolean): Selection {
  const selection: Selection = { purposes: {}, services: {} };
  for (const p of optional(purposes)) {
    selection.purposes[p.name] = purpose(p);
    for (const s of p.services ?? []) selection.services[s.name] = service(s);
  }
  return selection;
}
