import type { Extra, Props } from '../consent/wire';

/** Elements that name an event of their own, by attribute or by class. */
export const TAGGED = '[data-sluice-event],[class*="sluice-event="]';

/** The part of an element that is read. */
export interface Marked {
  readonly attributes: Iterable<{ readonly name: string; readonly value: string }>;
  readonly classList: Iterable<string>;
}

/**
 * Reads `data-sluice-event="Sign up" data-sluice-plan="pro"`, and the same as
 * classes, `sluice-event=Sign+up sluice-plan=pro`, for editors that let only
 * these through: there a `+` is a space. `revenue-amount` and
 * `revenue-currency` make up a revenue.
 */
export function readTag({ attributes, classList }: Marked): [name: string | undefined, props: Props, extra: Extra] {
  const said: Record<string, string> = {};
  for (const { name, value } of attributes) if (name.startsWith('data-sluice-')) said[name.slice(12)] = value;
  for (const part of classList) {
    const [, name, value] = /^sluice-([^=]+)=(.+)$/.exec(part) ?? [];
    if (name) said[name] = value!.replace(/\+/g, ' ');
  }
  const { event, 'revenue-amount': amount, 'revenue-currency': currency, ...props } = said;
  return [event, props, amount && currency ? { revenue: { amount, currency } } : {}];
}
