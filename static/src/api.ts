import type { Kit } from './banner/kit';
import type { Choice } from './consent/choice';
import type { Frames } from './frames/frames';
import type { Policy } from './loader';
import type { Facts } from './marked/facts';
import type { Track, Tracker } from './tracker/tracker';

/** `window.sluice`, for the page's own code. */
export interface Sluice {
  /** Opens the preferences. */
  open(): void;
  /** Sends an event of the page's own; without a grant of statistics it does nothing. */
  track: Track;
  /** The choice that stands; null where there is none. */
  readonly consent: Choice | null;
  /** Where the script tag carries `data-prefs`, from the event `sluice:prefs` on. */
  prefs?: Prefs;
  /** Calls back after each change of the choice, or once `prefs` is there. */
  on(type: 'change' | 'prefs', listener: (consent: Choice | null) => void): void;
  /** Resolves once the choice has been read. */
  readonly ready: Promise<Choice | null>;
  /** Between the script and its banner; no part of the contract. */
  readonly _: Inner;
}

/** What a preference may be: a finite number, yes or no, or at most 500 characters. */
export type Preference = string | number | boolean;

/**
 * Preferences hold for the page at once. They are kept, in the server's cookie
 * `sl_pref`, once the visitor has granted them, and not before. At most 30; a
 * name has 1 to 64 letters, digits, dots, hyphens and underscores.
 */
export interface Prefs {
  get(name: string): Preference | undefined;
  set(name: string, value: Preference): void;
  remove(name: string): void;
}

/** What the script lends to the banner and to its chunks, which are loaded only where they are needed. */
export interface Inner {
  /** Address of the doors, with its last slash. */
  base: string;
  site: string;
  lang: string;
  /** What of the site's measurements the page takes part in, by name; undefined: all of them. */
  measure: string | undefined;
  /** Loads the banner, or shows the one that is loaded; `open`: the preferences. */
  ask(open?: boolean): void;
  post(path: string, body: object): Promise<Response>;
  sync(): void;
  forget(): void;
  /** Loads what lies beside the script: a chunk, by its hashed name. */
  load(name: string, loaded: () => void): void;
  /** `<choice>|<token>`, where there are no cookies at all. */
  kept?: string;
  /** Set by the banner: shows the preferences, or the first layer; called by itself, without an argument, what it came with. */
  show?: ((open?: boolean) => void) | undefined;
  /** Set by the banner, for the preferences. */
  kit?: Kit | undefined;
  /** Set by the banner that was fetched anew because its notice was old. */
  renewed?: boolean;
  /** Set once the page is shown; for the extras. */
  tracker?: Tracker;
  /** Set by the chunk for iframes, images and links. */
  frames?: (inner: Inner, facts: () => Promise<Facts>) => Frames;
  /** Set by the chunk that takes away what services left in the browser. */
  clear?: (declared: string[]) => void;
  /** Set where a tag of Google's ran that nobody marked; goes with the decision. */
  outside?: boolean;
  /** Set by a chunk of the script, and started at once, before any other script runs. */
  chunk?: Chunk;
}

/**
 * What the script lends to its own chunks, and to no script of the page: the
 * policy under which text becomes code.
 */
export type Chunk = (inner: Inner, trusted: Policy) => void;

declare global {
  interface Window {
    sluice?: Sluice;
  }
}
