import type { Inner } from '../api';
import { current } from '../consent/standing';

/** The part of Google's tags that runs on the page, where the site loads them itself. */
export interface Google {
  /** Tells them what is granted now, where that changed. */
  update(): void;
  /** Reports a tag that nobody marked, once, where nothing has been granted yet. */
  warn(): void;
}

type Page = Record<string, unknown> & { dataLayer?: ArrayLike<unknown>[] };

/** Consent Mode v2's signals, but security_storage, which no choice touches. */
const SIGNALS = ['ad_storage', 'ad_user_data', 'ad_personalization', 'analytics_storage', 'functionality_storage', 'personalization_storage'];

/**
 * Consent Mode in its basic form: no tag runs before a grant. g.js has set the
 * default before everything else; where a site has left it out, and a tag will
 * run under a grant, it is set here. A grant is one update, and so is its end.
 */
export function createGoogle(inner: Inner): Google {
  const page = window as unknown as Page;
  let told: readonly string[] = [];
  let time = 0;
  let quiet = false;

  /** Google's tags read an arguments object as a command, and an array as none. */
  function gtag(..._command: unknown[]): void {
    // eslint-disable-next-line prefer-rest-params
    (page.dataLayer ??= []).push(arguments);
  }

  const consent = (command: string, granted: readonly string[], more?: object) =>
    gtag('consent', command, {
      ...Object.fromEntries(SIGNALS.map((name) => [name, granted.includes(name) ? 'granted' : 'denied'])),
      ...more,
    });

  function update(): void {
    const choice = current();
    const signals = choice?.signals ?? [];
    if (signals.join() !== told.join()) {
      // Off first: a running tag obeys this before anything else, and writes no cookie again when the page is left.
      for (const id of ids()) page['ga-disable-' + id] = !signals.includes('analytics_storage');
      if (!page.dataLayer?.length || ![...page.dataLayer].some((c) => c[0] === 'consent' && c[1] === 'default'))
        consent('default', [], { security_storage: 'granted' });
      consent('update', signals);
      told = signals;
    }
    if (!choice || choice.time === time || !page.dataLayer) return;
    time = choice.time;
    const { purposes, services } = choice;
    page.dataLayer.push({ event: 'sluice_consent', sluice: { purposes, services, signals } } as never);
  }

  /** Measurement ids on this page: as the tags were loaded, as they registered, as their cookies are called. */
  function ids(): Set<string> {
    const loaded = [...document.querySelectorAll<HTMLScriptElement>('script[src*=googletagmanager],script[data-src*=googletagmanager]')];
    return new Set([
      ...loaded.map((s) => new URL(s.src || s.dataset.src!, location.href).searchParams.get('id') ?? ''),
      ...Object.keys((page.google_tag_manager as object | undefined) ?? {}),
      ...[...document.cookie.matchAll(/(?:^|; )\w*_ga_(\w+)=/g)].map((m) => 'G-' + m[1]),
    ].filter((id) => /^(G|UA)-/.test(id)));
  }

  function warn(): void {
    quiet ||= !!current()?.purposes.length; // what is granted may have brought it along, whatever is withdrawn later
    const tag = document.querySelector<HTMLScriptElement>('script[src*=googletagmanager]');
    if (quiet || !tag) return;
    quiet = inner.outside = true;
    console.error(
      `sluice: tag outside the gate: ${tag.src} was loaded before consent. Mark it: ` +
        `<script type="text/plain" data-service="google-analytics" data-src="${tag.src}"></script>`,
    );
  }

  return { update, warn };
}
