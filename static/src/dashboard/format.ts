/** The unit of a metric, as the page names it. */
export type Unit = 'count' | 'ratio' | 'percent' | 'seconds';

/** Writes a number for an axis: short, with its unit. */
export function axisText(unit: Unit, n: number): string {
  switch (unit) {
    case 'percent':
      return `${n}%`;
    case 'seconds':
      return n < 60 ? `${n}s` : `${Math.round(n / 6) / 10}m`;
    case 'ratio':
      return n.toFixed(1);
    case 'count':
      return compact.format(n);
  }
}

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
