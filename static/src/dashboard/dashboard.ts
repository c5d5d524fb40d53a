/**
 * The script of the dashboards. Every page is complete without it; it draws a
 * livelier chart and closes what was opened.
 */
import './dashboard.css';

import { Chart } from './chart';
import { readSeries } from './series';

for (const field of document.querySelectorAll<HTMLElement>('.plot')) {
  const table = field.parentElement?.querySelector('table');
  const points = table ? readSeries(table) : [];
  if (points.length > 0) {
    new Chart(field, points);
  }
}

/** The form for dates closes with Escape and with a click beside it. */
const custom = document.querySelector<HTMLDetailsElement>('.periods details');
document.addEventListener('click', (e) => {
  if (custom?.open && !custom.contains(e.target as Node)) {
    custom.open = false;
  }
});
document.addEventListener('keydown', (e) => {
  if (e.key === 'Escape' && custom?.open) {
    custom.open = false;
    custom.querySelector('summary')?.focus();
  }
});
