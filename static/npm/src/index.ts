import { createElement, type ReactElement, useSyncExternalStore } from 'react';
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
export function SluiceScript({ site, base = '/_s', lang, pageviews = true, measure, prefs, nonce }: SluiceScriptProps): ReactElement {
  return createElement('script', {
    async: true,
    src: base + '/s.js',
    nonce,
    'data-site': site,
    'data-lang': lang,
    'data-pageviews': pageviews ? undefined : 'off',
    'data-measure': measure,
    'data-prefs': prefs ? '' : undefined,
    'data-cfasync': 'false',
    nowprocket: '',
    'data-no-optimize': '1',
    'data-no-defer': '1',
  });
}

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
export function useConsent(): Consent {
  return useSyncExternalStore(subscribe, snapshot, () => none);
}

const none = of(null, false);
let last = none;
let ready = false;

function of(consent: Choice | null, ready: boolean): Consent {
  return {
    consent,
    ready,
    granted: (name) => name === 'essential' || !!consent && (consent.purposes.includes(name) || consent.services.includes(name)),
    open: () => window.sluice?.open(),
    track: (name, props, extra) => window.sluice?.track(name, props, extra),
  };
}

/** The same object until something changes, as useSyncExternalStore asks. */
function snapshot(): Consent {
  const consent = window.sluice?.consent ?? null;
  if (consent !== last.consent || ready !== last.ready) last = of(consent, ready);
  return last;
}

function subscribe(changed: () => void): () => void {
  let live = true;
  const read = () =>
    void window.sluice?.ready.then(() => {
      ready = true;
      if (live) changed();
    });
  // A script's load event reaches the document on its way down.
  const loaded = () => {
    if (!window.sluice) return;
    document.removeEventListener('load', loaded, true);
    read();
  };
  if (window.sluice) read();
  else document.addEventListener('load', loaded, true);
  addEventListener('sluice:change', changed);
  return () => {
    live = false;
    document.removeEventListener('load', loaded, true);
    removeEventListener('sluice:change', changed);
  };
}
