import uPlot from 'uplot';

import { axisText, type Unit } from './format';
import type { Point } from './series';

const height = 260;

/** Draws a site's chart in place of the page's SVG, with a tooltip. */
export class Chart {
  readonly #field: HTMLElement;
  readonly #points: Point[];
  readonly #unit: Unit;
  readonly #tip = document.createElement('div');
  #plot: uPlot | undefined;

  constructor(field: HTMLElement, points: Point[]) {
    this.#field = field;
    this.#points = points;
    this.#unit = field.dataset.unit as Unit;
    this.#tip.className = 'tip';
    this.#tip.hidden = true;
    field.classList.add('live');
    field.append(this.#tip);
    this.draw();
    new ResizeObserver(() => this.#plot?.setSize({ width: field.clientWidth, height })).observe(field);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  /** Draws anew, in the colours that the page has now. */
  draw(): void {
    this.#plot?.destroy();
    const css = getComputedStyle(this.#field);
    const colour = (name: string): string => css.getPropertyValue(name).trim();
    const axis = { stroke: colour('--soft'), font: `12px ${css.fontFamily}`, ticks: { show: false } };
    const line = { stroke: colour('--accent'), width: 2, points: { show: this.#points.length === 1, fill: colour('--accent') } };
    const options: uPlot.Options = {
      width: this.#field.clientWidth,
      height,
      padding: [8, 30, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 9, fill: colour('--accent') } },
      scales: { x: { time: false }, y: { range: (_u, _min, max) => [0, uPlot.rangeNum(0, Math.max(max, 1), { min: {}, max: { pad: 0.1, soft: 0, mode: 0 } })[1]] } },
      axes: [
        { ...axis, grid: { show: false }, space: 64, size: 28, incrs: [1, 2, 3, 4, 6, 7, 12, 14, 24, 28, 30, 60], values: (_u, at) => at.map((i) => this.#points[i]?.short ?? '') },
        { ...axis, size: 48, grid: { stroke: colour('--rule'), width: 1 }, incrs: this.#increments(), values: (_u, at) => at.map((n) => axisText(this.#unit, n)) },
      ],
      series: [
        {},
        { ...line, stroke: colour('--soft'), width: 1, dash: [2, 3], points: { show: false } },
        { ...line, fill: translucent(colour('--accent')) },
        { ...line, dash: [4, 4] },
        { ...line, stroke: colour('--import'), fill: hatched(colour('--import')) },
      ],
      hooks: { setCursor: [(u) => this.#point(u)], ready: [(u) => this.#follow(u)], drawClear: [(u) => this.#mark(u, colour('--import'))] },
    };
    this.#plot = new uPlot(options, this.#data(), this.#field);
  }

  /** What has not ended yet is a dashed line from the last whole point on. */
  #data(): uPlot.AlignedData {
    const at = this.#points.map((_p, i) => i);
    const values = this.#points.map((p) => p.value);
    const before = this.#points.map((p) => p.before);
    const imported = this.#points.map((p) => p.imported);
    const now = this.#points.findIndex((p) => p.partial);
    if (now < 1) {
      return [at, before, values, at.map(() => null), imported];
    }
    return [at, before, values.map((v, i) => (i < now ? v : null)), values.map((v, i) => (i >= now - 1 ? v : null)), imported];
  }

  #increments(): number[] {
    return this.#unit === 'seconds'
      ? [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200]
      : (this.#unit === 'ratio' ? [0.1, 0.2, 0.5] : []).concat([1, 2, 5, 10, 20, 50], [1e2, 1e3, 1e4, 1e5, 1e6, 1e7].flatMap((n) => [n, 2 * n, 5 * n]));
  }

  #point(u: uPlot): void {
    const i = u.cursor.idx;
    const p = i === null || i === undefined ? undefined : this.#points[i];
    this.#tip.hidden = p === undefined || (u.cursor.left ?? -1) < 0;
    if (p === undefined || i === null || i === undefined || this.#tip.hidden) {
      return;
    }
    const value = document.createElement('b');
    value.textContent = p.text;
    const before = document.createElement('span');
    before.textContent = p.beforeText && `${p.beforeText} before`;
    const imported = document.createElement('span');
    imported.textContent = p.importedText && `${p.importedText} imported`;
    const mark = document.createElement('span');
    mark.textContent = p.mark;
    this.#tip.replaceChildren(value, p.label, before, imported, mark);
    const x = u.over.offsetLeft + u.valToPos(i, 'x');
    const right = x + this.#tip.offsetWidth + 16 > this.#field.clientWidth;
    this.#tip.style.transform = `translate(${right ? x - this.#tip.offsetWidth - 12 : x + 12}px, 8px)`;
  }

  /** A dotted line stands where something has to be known of a point. */
  #mark(u: uPlot, colour: string): void {
    u.ctx.save();
    u.ctx.strokeStyle = colour;
    u.ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    this.#points.forEach((p, i) => {
      if (p.mark) {
        const x = Math.round(u.valToPos(i, 'x', true));
        u.ctx.beginPath();
        u.ctx.moveTo(x, u.bbox.top);
        u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
        u.ctx.stroke();
      }
    });
    u.ctx.restore();
  }

  /** A click leads to the day or month under it. */
  #follow(u: uPlot): void {
    u.over.addEventListener('click', () => {
      const href = this.#points[u.cursor.idx ?? -1]?.href;
      if (href) {
        location.assign(href);
      }
    });
  }
}

/** The colour at an eighth of its strength: #rrggbb becomes #rrggbb20. */
function translucent(colour: string): string {
  return `${colour}20`;
}

/** Slanted lines of the colour: what others counted looks like nothing of ours. */
function hatched(colour: string): CanvasPattern | string {
  const tile = document.createElement('canvas');
  const size = 8 * devicePixelRatio;
  tile.width = tile.height = size;
  const ctx = tile.getContext('2d');
  if (!ctx) {
    return translucent(colour);
  }
  ctx.strokeStyle = `${colour}70`;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (const shift of [-size, 0, size]) {
    ctx.moveTo(shift, size);
    ctx.lineTo(shift + size, 0);
  }
  ctx.stroke();
  return ctx.createPattern(tile, 'repeat') ?? translucent(colour);
}
