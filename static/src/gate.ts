import { type Choice, parseChoice } from './consent/choice';
import { expireCookie, readCookie } from './cookies';

/** What the script keeps itself, under `sl` in localStorage, where cookies do not arrive. */
export interface Kept {
  /** The choice, in the layout of the cookie. */
  choice: string;
  token: string;
  /** Unix milliseconds. */
  expires: number;
}

const CHOICE = 'sl_choice';

let raw = '';
let choice: Choice | null = null;

/** What was kept, for this page also where storage is off. */
export const memory: { kept?: Kept | undefined } = {};

/** The choice as last read; null: none, so nothing is granted. */
export const current = (): Choice | null => choice;

/**
 * Reads the choice again and announces a change. Called before anything is
 * sent, so that a withdrawal in another tab holds here as well.
 */
export function sync(): void {
  let now = readCookie(CHOICE);
  if (!now || !parseChoice(now)) {
    try {
      memory.kept = JSON.parse(localStorage.sl) as Kept;
    } catch {
      // nothing kept, or storage is off
    }
    now = memory.kept?.expires! > Date.now() ? memory.kept!.choice : '';
  }
  if (now === raw) return;
  raw = now;
  choice = parseChoice(now);
  dispatchEvent(new CustomEvent('sluice:change', { detail: choice }));
}

/** Drops the choice: from here on nothing is granted. */
export function forget(): void {
  expireCookie(CHOICE);
  memory.kept = undefined;
  try {
    delete localStorage.sl;
  } catch {
    // storage is off
  }
  sync();
}
