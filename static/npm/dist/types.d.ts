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
}
/** Properties of an event: at most 30. */
export type Props = Record<string, string | number | boolean>;
/** `window.sluice`, once the script has run. */
export interface Sluice {
    /** Opens the preferences. */
    open(): void;
    /** Sends an event of the page's own; without a grant of statistics it does nothing. */
    track(name: string, props?: Props): void;
    /** The choice that stands; null where there is none. */
    readonly consent: Choice | null;
    /** Calls back after each change of the choice. */
    on(type: 'change', listener: (consent: Choice | null) => void): void;
    /** Resolves once the choice has been read. */
    readonly ready: Promise<Choice | null>;
}
