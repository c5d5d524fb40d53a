import assert from 'node:assert/strict';
import { test } from 'node:test';
import { follow } from './links';
import { pageOf, term } from './place';
import { narrow } from './settings';
import { readTag } from './tagged';
import { layoutShift, nextPaint } from './vitals';

const link = (address: string) => new URL(address) as unknown as HTMLAnchorElement;
const home = (host: string) => host === 'example.com' || host.endsWith('.example.com');

const links: { name: string; address: string; want: ReturnType<typeof follow> }[] = [
  { name: 'a page of the site', address: 'https://shop.example.com/a.html', want: undefined },
  { name: 'mail', address: 'mailto:ada@example.org', want: undefined },
  { name: 'a script', address: 'javascript:void(0)', want: undefined },
  { name: 'elsewhere', address: 'https://other.test:8443/a?b=c#d', want: ['outbound_link', { link_url: 'https://other.test:8443/a', link_domain: 'other.test' }] },
  { name: 'a name that only ends alike', address: 'http://notexample.com/', want: ['outbound_link', { link_url: 'http://notexample.com/', link_domain: 'notexample.com' }] },
  {
    name: 'a file elsewhere is a download, once',
    address: 'https://cdn.test/v1/Guide.PDF?key=1',
    want: ['file_download', { link_url: 'https://cdn.test/v1/Guide.PDF', file_name: '/v1/Guide.PDF', file_extension: 'pdf' }],
  },
  { name: 'an extension that is not listed', address: 'https://example.com/a.html', want: undefined },
  { name: 'an extension in the query', address: 'https://example.com/get?file=a.pdf', want: undefined },
];
for (const { name, address, want } of links) test(`follow: ${name}`, () => assert.deepEqual(follow(link(address), home, ['pdf'], true), want));

test('follow: only what is measured', () => {
  assert.equal(follow(link('https://other.test/'), home, ['pdf'], false), undefined);
  assert.equal(follow(link('https://example.com/a.pdf'), home, [], true), undefined);
});

const tags: { name: string; attributes?: [string, string][]; classes?: string[]; want: ReturnType<typeof readTag> }[] = [
  { name: 'attributes', attributes: [['data-sluice-event', 'Sign up'], ['data-sluice-plan-name', 'pro'], ['id', 'x']], want: ['Sign up', { 'plan-name': 'pro' }, {}] },
  { name: 'classes', classes: ['card', 'sluice-event=Sign+up', 'sluice-plan=a=b'], want: ['Sign up', { plan: 'a=b' }, {}] },
  { name: 'a class over an attribute', attributes: [['data-sluice-event', 'A']], classes: ['sluice-event=B'], want: ['B', {}, {}] },
  {
    name: 'revenue',
    attributes: [['data-sluice-event', 'Buy'], ['data-sluice-revenue-amount', '9.90'], ['data-sluice-revenue-currency', 'EUR']],
    want: ['Buy', {}, { revenue: { amount: '9.90', currency: 'EUR' } }],
  },
  { name: 'half a revenue', attributes: [['data-sluice-event', 'Buy'], ['data-sluice-revenue-amount', '9.90']], want: ['Buy', {}, {}] },
  { name: 'no event', attributes: [['data-sluice', 'choices']], classes: ['sluice-event='], want: [undefined, {}, {}] },
];
for (const { name, attributes = [], classes = [], want } of tags)
  test(`readTag: ${name}`, () => assert.deepEqual(readTag({ attributes: attributes.map(([name, value]) => ({ name, value })), classList: classes }), want));

test('term: the first parameter that says something', () => {
  assert.equal(term('https://example.com/?s=&q=%20Red+Shoes', ['s', 'q']), 'red shoes');
  assert.equal(term('https://example.com/#q=x', ['q']), '');
  assert.equal(term(`https://example.com/?q=${'x'.repeat(200)}`, ['q']).length, 100);
});

test('pageOf: where a page ends', () => {
  assert.equal(pageOf('https://example.com/a?b#/c', false), 'https://example.com/a?b');
  assert.equal(pageOf('https://example.com/a#/c', true), 'https://example.com/a#/c');
  assert.equal(pageOf('https://example.com/a#!/c', true), 'https://example.com/a#!/c');
  assert.equal(pageOf('https://example.com/a#c', true), 'https://example.com/a');
});

test('narrow: the tag leaves out, and adds nothing', () => {
  const settings = { scroll: true, search: ['q'] };
  assert.deepEqual(narrow(settings, undefined), settings);
  assert.deepEqual(narrow(settings, 'search  outbound'), { search: ['q'] });
  assert.deepEqual(narrow(settings, 'off'), {});
  assert.deepEqual(narrow(settings, ''), {});
});

// Worked by hand after https://web.dev/articles/cls.
test('layoutShift: the largest window', () => {
  const cases: [name: string, shifts: [at: number, value: number, input?: boolean][], want: number][] = [
    ['nothing moved', [], 0],
    ['one window', [[100, 0.125], [1099, 0.25]], 0.375],
    ['a gap of a second', [[100, 0.125], [1100, 0.25]], 0.25],
    ['five seconds and no more', [[0, 0.125], [900, 0.125], [1800, 0.125], [2700, 0.125], [3600, 0.125], [4500, 0.125], [5000, 0.125]], 0.75],
    ['after an input', [[100, 0.125], [200, 0.5, true]], 0.125],
  ];
  for (const [name, shifts, want] of cases) {
    const cls = layoutShift();
    for (const [startTime, value, hadRecentInput = false] of shifts) cls.add({ startTime, value, hadRecentInput });
    assert.equal(cls.value(), want, name);
  }
});

// Worked by hand after https://web.dev/articles/inp.
test('nextPaint: the longest, but for one in 50', () => {
  const inp = nextPaint();
  assert.equal(inp.value(), undefined);
  inp.add({ interactionId: 0, duration: 900 }); // no interaction: a pointer that moved
  assert.equal(inp.value(), undefined);
  for (const duration of [40, 320, 16]) inp.add({ interactionId: 7, duration }); // pointerdown, pointerup, click
  for (let id = 8; id < 7 + 49; id++) inp.add({ interactionId: id, duration: 100 + id });
  assert.equal(inp.value(), 320, '49 interactions');
  inp.add({ interactionId: 99, duration: 24 });
  assert.equal(inp.value(), 100 + 55, '50 interactions');
});
