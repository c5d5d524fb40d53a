import type { CookieFact, FullData, Service } from '../consent/wire';
import { h, link } from './lent';

/** What there is to know about a service: whose it is and where, and on demand the rest and what it stores. */
export function facts(service: Service, { texts: t, lang }: FullData): HTMLElement {
  const { provider, external, recipients = [], transfer, policy_url, cookies } = service;
  const where = country(service.country, lang);
  return h(
    'details',
    {},
    h('summary', {}, [provider, where, cookies?.[0] && `${t.cookies} (${cookies.length})`].filter(Boolean).join(' · ')),
    h(
      'dl',
      {},
      ...row(external ? t.recipient : t.provider, [provider, ...recipients].join(', ')),
      ...row(t.country, where),
      ...row(t.transfer, transfer),
      ...row(t.policy, link(policy_url, address(policy_url))),
    ),
    cookies?.[0] && table(cookies, provider, t),
  );
}

/** Who answers for the processing, and where to complain (GDPR Art. 13(1)(a), (b), (2)(d)). */
export function responsible({ controller: c, notice, site, texts: t, lang }: FullData, base: string): HTMLElement {
  const { policy_url, updated } = notice;
  const when = updated && t.updated!.replace('{date}', new Date(updated).toLocaleDateString(lang, { dateStyle: 'long', timeZone: 'UTC' }));
  return h(
    'div',
    { class: 'block' },
    h('h3', {}, t['choices.controller']),
    h(
      'dl',
      {},
      ...row(t['choices.name'], c.name),
      ...row(t['choices.address'], c.address),
      ...row(t.contact, /^\S+@\S+$/.test(c.contact!) ? link('mailto:' + c.contact, c.contact!) : c.contact),
      ...row(t['choices.dpo'], c.dpo),
      ...row(t['choices.authority'], c.authority),
      ...row(t.policy, link(policy_url, address(policy_url)), when && ` · ${when}`),
      ...row(t.records, link(`${base}choices?site=${site}&lang=${lang}`, t['choices.title']!)),
    ),
  );
}

/** A term and what it stands for; nothing where there is nothing. */
const row = (term: string | undefined, value: Node | string | undefined, more?: string): HTMLElement[] =>
  value ? [h('dt', {}, term), h('dd', {}, value, more)] : [];

/** A web address as people read it. */
const address = (url = ''): string => url.replace(/^https?:\/\/(www\.)?|\/$/g, '');

/** The cookies of a service. On a narrow screen each becomes a block, whose cells say what they are; roles keep it a table. */
function table(cookies: CookieFact[], provider: string, t: FullData['texts']): HTMLElement {
  const heads = [t.cookie!, t.provider!, t.use!, t.lasts!];
  const line = (cell: 'th' | 'td', role: string, texts: string[]) =>
    h('tr', { role: 'row' }, ...texts.map((text, i) => h(cell, { role, 'data-head': heads[i]! }, text)));
  return h(
    'table',
    { role: 'table' },
    h('thead', { role: 'rowgroup' }, line('th', 'columnheader', heads)),
    h(
      'tbody',
      { role: 'rowgroup' },
      ...cookies.map((c) => line('td', 'cell', [c.name, c.provider ?? provider, c.purpose, c.lasts])),
    ),
  );
}

/** The name of a country in the visitor's language; the code where the browser knows none. */
function country(code: string | undefined, lang: string): string | undefined {
  try {
    return code && new Intl.DisplayNames(lang, { type: 'region' }).of(code);
  } catch {
    return code;
  }
}
