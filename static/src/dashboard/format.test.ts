import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Unit, axisText } from './format';

test('numbers beside an axis are short and have their unit', () => {
  const cases: [Unit, number, string][] = [
    ['count', 0, '0'],
    ['count', 950, '950'],
    ['count', 12500, '12.5K'],
    ['count', 3000000, '3M'],
    ['percent', 40, '40%'],
    ['ratio', 2, '2.0'],
    ['seconds', 45, '45s'],
    ['seconds', 90, '1.5m'],
  ];
  for (const [unit, n, want] of cases) {
    assert.equal(axisText(unit, n), want, `${n} in ${unit}`);
  }
});
