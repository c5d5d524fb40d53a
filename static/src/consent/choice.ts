/** What the visitor answered, as the readable cookie `sl_choice` remembers it. */
export interface Choice {
  /** Version of the notice that was answered. */
  readonly notice: string;
  /** Granted purposes. Essential is never listed. */
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

/**
 * Reads `1:<notice>:<purposes>:<services>:<unix seconds>[:<signals>]`: the
 * notice is percent-encoded, names are joined by `+`. `1?` says that something
 * is to be asked again. Anything else is null, which means: not asked yet. The
 * Go side reads the same fixtures, consent/testdata/choice.json.
 */
export function parseChoice(cookie: string): Choice | null {
  try {
    // Made here, where there is something to read: a first visit does without.
    const [, pending, notice, purposes, services, time, signals] = /^1(\??):([^:]*):([^:]*):([^:]*):([1-9]\d{0,11})(?::([^:]+)|)$/.exec(
      cookie,
    ) as unknown as string[] & { length: 7 };
    return {
      pending: !!pending,
      notice: decodeURIComponent(notice!),
      purposes: names(purposes!),
      services: names(services!),
      time: +time!,
      ...(signals && { signals: names(signals) }),
    };
  } catch {
    return null; // another layout, or a broken percent-escape
  }
}

const names = (joined: string): string[] => joined.match(/[^+]+/g) || [];
