import { type Choice, parseChoice } from './consent/choice';
import { expireCookie, readCookie } from './cookies';

/** The choice as last read; null: none, so nothing is granted. */
export let choice: Choice | null = null;

let raw = '';

/**
 * Where the server's cookies do not arrive, the banner keeps `<choice>|<token>`
 * in a cookie of its own, `sl_kept`: read at no cost beside the other, where any
 * storage would hold up a first visit. This is in its place where cookies are
 * off, for this page.
 */
export const memory = { kept: '' };

/** What is kept, apart: choice and token. */
export const kept = (): string[] => (readCookie('sl_kept') || memory.kept).split('|');

/**
 * Reads the choice again and announces a change. Called before anything is
 * sent, so that a withdrawal in another tab holds here as well.
 */
export function sync(): void {
  const now = readCookie('sl_choice') || kept()[0]!;
  if (now == raw) return;
  raw = now;
  choice = parseChoice(now);
  dispatchEvent(new CustomEvent('sluice:change', { detail: choice }));
}

/** Drops the choice: from here on nothing is granted. */
export function forget(): void {
  memory.kept = '';
  expireCookie('sl_choice');
  expireCookie('sl_kept');
  sync();
}
