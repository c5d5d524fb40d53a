import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Choice, parseChoice } from './choice';

// The fixtures that the Go tests read too; the tests run at the repository's root.
const fixtures = JSON.parse(readFileSync('consent/testdata/choice.json', 'utf8')) as {
  name: string;
  cookie: string;
  choice: Choice | null;
}[];

for (const { name, cookie, choice } of fixtures) {
  test(`sl_choice: ${name}`, () => {
    assert.deepEqual(parseChoice(cookie), choice && { pending: false, ...choice });
  });
}
