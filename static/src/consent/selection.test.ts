import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Choice } from './choice';
import { chosen, covers, optional, switched, ticks } from './selection';
import type { Purpose, Service } from './wire';

const service = (name: string, external: boolean): Service => ({ name, title: name, provider: name, external });
const purposes: Purpose[] = [
  { name: 'essential', title: '', description: '', required: true, services: [service('shop', false)] },
  { name: 'analytics', title: '', description: '', services: [service('statistics', false), service('hotjar', true)] },
  { name: 'preference', title: '', description: '' },
];

const yes = { purposes: { analytics: true, preference: true }, services: { statistics: true, hotjar: true } };
const no = { purposes: { analytics: false, preference: false }, services: { statistics: false, hotjar: false } };

test('essential is not asked for', () => {
  assert.deepEqual(optional(purposes).map((p) => p.name), ['analytics', 'preference']);
});

test('accept all and reject all name every purpose and service', () => {
  assert.deepEqual(switched(purposes, null, true, false), yes);
  assert.deepEqual(switched(purposes, null, false, false), no);
});

test('under Global Privacy Control, accept all leaves other companies off', () => {
  assert.deepEqual(switched(purposes, null, true, true), { ...yes, services: { statistics: true, hotjar: false } });
});

test('asked about what changed alone, the rest stays as it was chosen', () => {
  const choice: Choice = { notice: '1', purposes: ['preference'], services: [], time: 1 };
  assert.deepEqual(switched(purposes, choice, true, false, { analytics: '' }), yes);
  assert.deepEqual(switched(purposes, choice, false, false, { analytics: '' }), { ...no, purposes: { analytics: false, preference: true } });
  assert.deepEqual(optional(purposes, { analytics: '' }).map((p) => p.name), ['analytics']);
});

const choices: { name: string; ticked: string[]; purposes: string[]; services: string[] }[] = [
  { name: 'nothing ticked', ticked: [], purposes: [], services: [] },
  { name: 'one of two services', ticked: ['statistics'], purposes: ['analytics'], services: ['statistics'] },
  { name: 'a purpose without services', ticked: ['preference'], purposes: ['preference'], services: [] },
  { name: 'everything', ticked: ['statistics', 'hotjar', 'preference'], purposes: ['analytics', 'preference'], services: ['statistics', 'hotjar'] },
  { name: 'a name that is not on offer', ticked: ['shop', 'x'], purposes: [], services: [] },
];

for (const c of choices) {
  test(`chosen: ${c.name}`, () => {
    const selection = chosen(purposes, new Set(c.ticked));
    const choice: Choice = { notice: '1', purposes: c.purposes, services: c.services, time: 5 };
    const granted = (of: Record<string, boolean>) => Object.keys(of).filter((name) => of[name]);
    assert.deepEqual([granted(selection.purposes), granted(selection.services)], [c.purposes, c.services]);
    const known = c.ticked.filter((name) => name !== 'shop' && name !== 'x');
    assert.deepEqual([...ticks(purposes, choice)].sort(), known.sort(), 'reopened, the same is ticked');
  });
}

test('without a choice nothing is ticked', () => {
  assert.equal(ticks(purposes, null).size, 0);
});

test('covers: whether a selection takes anything back', () => {
  const choice: Choice = { notice: '1', purposes: ['analytics'], services: ['statistics'], time: 1 };
  assert.equal(covers(switched(purposes, null, true, false), choice), true);
  assert.equal(covers(chosen(purposes, new Set(['statistics'])), choice), true);
  assert.equal(covers(chosen(purposes, new Set(['hotjar'])), choice), false);
  assert.equal(covers(switched(purposes, null, false, false), choice), false);
  assert.equal(covers(switched(purposes, null, false, false), { ...choice, purposes: [], services: [] }), true);
});
