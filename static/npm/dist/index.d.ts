import { type ReactElement } from 'react';
import type { Choice, Extra, Props, Sluice } from './types.js';
export type { Choice, Extra, Item, Preference, Prefs, Props, Revenue, Sluice } from './types.js';
declare global {
    interface Window {
        sluice?: Sluice;
    }
}
export interface SluiceScriptProps {
    /** The domain that Sluice is configured for. */
    site: string;
    /** Where the site mounts Sluice: `/_s` unless said otherwise, or a URL below the site's domain. */
    base?: string;
    /** The language to ask in; the page's own where left out. */
    lang?: string;
    /** False: the application counts its pageviews itself, by `track('pageview')`. */
    pageviews?: boolean;
    /** What of the site's measurements the page takes part in: `scroll outbound`, or `off`. */
    measure?: string;
    /** True: `window.sluice.prefs` is there, from the event `sluice:prefs` on. */
    prefs?: boolean;
    nonce?: string;
}
/**
 * The script tag, for the layout. React 19 moves it into the head, renders it
 * on the server and never twice. The attributes at the end keep optimisers from
 * delaying it.
 */
export declare function SluiceScript({ site, base, lang, pageviews, measure, prefs, nonce }: SluiceScriptProps): ReactElement;
export interface Consent {
    /** The choice that stands; null where there is none, and on the server. */
    readonly consent: Choice | null;
    /** The choice has been read: null is an answer from here on. */
    readonly ready: boolean;
    /** Whether a purpose or a service is granted. Essential always is. */
    granted(name: string): boolean;
    /** Opens the preferences. */
    open(): void;
    /** Sends an event; without a grant of statistics it does nothing. */
    track(name: string, props?: Props, extra?: Extra): void;
}
/**
 * The visitor's choice, and again after each change of it. On the server, and
 * until the script has run, there is none: what is rendered is the same on both
 * sides, so that hydration finds what it expects.
 */
export declare function useConsent(): Consent;
