/** What the visitor answered. */
export interface Choice {
    /** Version of the notice that was answered. */
    readonly notice: string;
    /** Granted purposes; essential is never listed. */
    readonly purposes: readonly string[];
    /** Granted services. */
    readonly services: readonly string[];
    /** When, in Unix seconds by the server's clock. */
    readonly time: number;
    /** What was granted has partly changed since, and no longer counts: there is something to ask. */
    readonly pending?: boolean;
    /** Signals of Google's Consent Mode that were granted, on a site that declares a tag of Google's. */
    readonly signals?: readonly string[];
}
/** Properties of an event: at most 30. */
export type Props = Record<string, string | number | boolean>;
/** An amount of money: a decimal in digits such as `9.90`, and a currency by ISO 4217. */
export interface Revenue {
    amount: string;
    currency: string;
}
/** One article of a purchase, in the words of Google Analytics. */
export interface Item {
    item_id?: string;
    item_name?: string;
    price?: number;
    quantity?: number;
    [name: string]: string | number | boolean | undefined;
}
/** What an event of the page's own may carry beside its properties. */
export interface Extra {
    revenue?: Revenue;
    items?: Item[];
}
/** What a preference may be: a number, yes or no, or at most 500 characters. */
export type Preference = string | number | boolean;
/** Preferences hold for the page at once, and are kept once the visitor has granted them. */
export interface Prefs {
    get(name: string): Preference | undefined;
    set(name: string, value: Preference): void;
    remove(name: string): void;
}
/** `window.sluice`, once the script has run. */
export interface Sluice {
    /** Opens the preferences. */
    open(): void;
    /** Sends an event of the page's own; without a grant of statistics it does nothing. */
    track(name: string, props?: Props, extra?: Extra): void;
    /** The choice that stands; null where there is none. */
    readonly consent: Choice | null;
    /** With `prefs` on the tag, from the event `sluice:prefs` on. */
    prefs?: Prefs;
    /** Calls back after each change of the choice, or once `prefs` is there. */
    on(type: 'change' | 'prefs', listener: (consent: Choice | null) => void): void;
    /** Resolves once the choice has been read. */
    readonly ready: Promise<Choice | null>;
}
