/**
 * The inspector of `?sluice=debug`: what the page sends to Sluice and what the
 * server says of it, event by event. It asks the server to explain the events of
 * this page (`"debug": true`); it changes nothing else, and stores nothing.
 */
import type { Props } from '../consent/wire';
import { h } from '../banner/dom';
import css from './inspect.css';
import { type Explained, whyDropped, whyRefused } from './words';

/** An answer of `POST <base>/e` to a request that asked for an explanation. */
interface Verdicts {
  accepted: number;
  /** `detail`: which field, and why. */
  dropped: { index: number; reason: string; detail?: string }[];
  debug?: Explained[];
}

type Sent = { name?: string; url?: string }[];

const sluice = window.sluice!;
const { base } = sluice._;

const list = h('ol', {});
const state = h('p', {});
const host = document.createElement('sluice-inspector');
const root = host.attachShadow({ mode: 'open' });
const sheet = new CSSStyleSheet();
sheet.replaceSync(css);
root.adoptedStyleSheets = [sheet];
root.append(
  h(
    'details',
    { open: true },
    h('summary', {}, 'Sluice'),
    state,
    list,
  ),
);

/** Adds a line, newest first. `kind` is the class that colours it. */
function line(kind: string, title: string, ...facts: (string | undefined)[]): void {
  const time = new Date().toTimeString().slice(0, 8);
  list.prepend(
    h('li', { class: kind }, h('time', {}, time), h('b', {}, title), ...facts.filter((f) => f).map((fact) => h('p', {}, fact!))),
  );
}

/** What became of the events of one request. */
async function events(sent: Sent, answer: Response): Promise<void> {
  if (answer.status !== 202) return line('bad', `${sent.length} events not taken`, `${answer.status}: ${await answer.text()}`);
  const { dropped, debug = [] } = (await answer.json()) as Verdicts;
  sent.forEach(({ name = '?', url = '' }, index) => {
    const title = `${name} ${url.replace(location.origin, '')}`;
    const refused = dropped.find((d) => d.index === index);
    if (refused) return line('bad', title, 'Refused: ' + whyDropped(refused.reason), refused.detail);
    const { stored, forwards = [] } = debug.find((d) => d.index === index) ?? {};
    const from = stored && [stored.channel, stored.source, stored.country, stored.browser, stored.os, stored.device].filter(Boolean).join(', ');
    line(
      'good',
      title,
      stored?.test ? 'Stored, as a test: shown apart, kept for 7 days' : 'Stored',
      from,
      stored?.props && JSON.stringify(stored.props),
      stored?.revenue,
      ...forwards.map((f) => {
        const changes = Object.entries(f.changed ?? {}).map(([what, n]) => `${what} (${n})`);
        const way = f.refused ? `not sent: ${whyRefused(f.refused)}` : 'queued';
        return `${f.destination}: ${way}${changes.length ? '; its rules: ' + changes.join(', ') : ''}`;
      }),
    );
  });
}

/** Everything that the page sends passes here: the script calls fetch by its name. */
const send = window.fetch.bind(window);
window.fetch = async (input, init) => {
  const url = String(input instanceof Request ? input.url : input);
  if (!url.startsWith(base) || typeof init?.body !== 'string') return send(input, init);
  const door = url.slice(base.length);
  const body = JSON.parse(init.body) as { events?: Sent; method?: string; set?: Props };
  const more = door === 'e' ? { ...init, body: JSON.stringify({ ...body, debug: true }) } : init;
  const answer = await send(input, more).catch((problem: unknown) => {
    line('bad', `${base}${door} cannot be reached`, String(problem));
    throw problem;
  });
  const copy = answer.clone();
  if (answer.redirected) line('bad', `POST ${base}${door} was redirected`, `to ${answer.url}: let the web server pass ${base} on unchanged`);
  else if (door === 'e') events(body.events ?? [], copy).catch((problem: unknown) => line('bad', 'The answer is not Sluice’s', String(problem)));
  else if (door === 'd') line(answer.ok ? 'good' : 'bad', `Decision: ${body.method}`, `${answer.status}`, answer.ok ? '' : await copy.text());
  else if (door === 'p') line(answer.ok ? 'good' : 'bad', `Preferences: ${Object.keys(body.set ?? {}).join(', ')}`, `${answer.status}`);
  return answer;
};

function show(): void {
  const choice = sluice.consent;
  const blocked = [...document.querySelectorAll<HTMLElement>('[data-purpose],[data-service]')]
    .filter(({ dataset }) => dataset.purpose !== 'essential')
    .map(({ dataset }) => dataset.service ?? dataset.purpose!)
    .filter((name) => !choice?.services.includes(name) && !choice?.purposes.includes(name));
  const granted = choice && [...choice.purposes, ...choice.services].join(', ');
  state.textContent =
    (choice ? `Granted: ${granted || 'nothing'}. Notice ${choice.notice}.` : 'No choice yet: nothing is stored or sent.') +
    (blocked.length ? ` Blocked: ${[...new Set(blocked)].join(', ')}.` : '');
}

addEventListener('sluice:change', () => {
  line('', sluice.consent ? 'Choice changed' : 'No choice');
  show();
});

// An event of the page's own that goes nowhere is what a developer looks for.
sluice.ready.then(() => {
  const { track } = sluice;
  sluice.track = (...event: Parameters<typeof track>) => {
    if (!sluice.consent?.services.includes('statistics')) line('bad', event[0], 'Not sent: statistics are not granted');
    track(...event);
  };
});

const mount = (): void => {
  if (!host.isConnected) document.documentElement.append(host);
};
new MutationObserver(mount).observe(document.documentElement, { childList: true });
mount();
show();
addEventListener('DOMContentLoaded', show);
