/**
 * What is measured beyond the first pageview, loaded under a grant when the
 * page is idle: `<base>/extras.<hash>.js?site=…` puts the site's settings in the
 * place of __SLUICE_DATA__. Nothing from before the grant is measured, and
 * nothing after a withdrawal.
 */
import type { Inner } from '../api';
import type { Choice } from '../consent/choice';
import { clicks } from './clicks';
import { engagement } from './engagement';
import { errors } from './errors';
import type { Part } from './part';
import { pageOf, term } from './place';
import { queue } from './queue';
import { scroll } from './scroll';
import { type Settings, narrow } from './settings';
import { vitals } from './vitals';

declare const __SLUICE_DATA__: Settings;

const granted = (choice: Choice | null) => !!choice?.services.includes('statistics');

async function start({ tracker, site, measure }: Inner): Promise<void> {
  if (!tracker || tracker.leave) return; // loaded twice, as a grant came and went
  const on = narrow(__SLUICE_DATA__, measure);
  const parts: Part[] = [];
  tracker.leave = () =>
    parts.flatMap((part) => {
      const told = part.take();
      return told ? [tracker.event(part.name, { url: tracker.page || location.href, title: '', ...told })] : [];
    });
  const sendNow = queue(tracker);
  const stood = granted(await window.sluice!.ready); // already when the page was loaded

  if (on.engagement) parts.push(engagement(tracker.seen));
  if (on.scroll) parts.push(scroll());
  if (on.errors) parts.push(errors());
  if (on.vitals && stood) parts.push(vitals());

  const searched = () => {
    const search_term = on.search && term(location.href, on.search);
    return search_term ? [tracker.event('search', { props: { search_term } })] : [];
  };
  tracker.shown = () => {
    for (const part of parts) part.renew?.();
    return searched();
  };

  const leave = () => tracker.may() && sendNow(tracker.leave!());
  addEventListener('visibilitychange', () => document.hidden && leave(), true);
  addEventListener('pagehide', leave);
  // Before the tracker hears of it: what was gathered without a grant belongs to no page that is counted under one.
  let had = tracker.may();
  const discard = () => {
    const has = granted(window.sluice!.consent);
    if (has != had) parts.forEach((part) => (part.take(), part.renew?.()));
    had = has;
  };
  addEventListener('sluice:change', discard, true);

  const moved = () => on.routes && tracker.page && pageOf(tracker.page, on.hash_routes) !== pageOf(location.href, on.hash_routes);
  tracker.route = () => {
    if (moved() && tracker.may()) tracker.view();
  };
  clicks(on, tracker.track, (host) => host === location.hostname || `.${host}`.endsWith(`.${site}`));

  if (!tracker.may()) return;
  if (moved()) return tracker.view(); // since the page was counted
  const [loaded] = performance.getEntriesByType('navigation') as (PerformanceNavigationTiming & { responseStatus?: number })[];
  if (on.not_found && loaded?.responseStatus === 404) tracker.track('404');
  tracker.send(searched());
}

window.sluice!._.chunk = start;
