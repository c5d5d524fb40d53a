/** One bucket of time, as the table beside the chart has it. */
export interface Point {
  label: string;
  short: string;
  text: string;
  value: number | null; // null: has not begun yet
  before: number | null; // of the same place in the period before
  beforeText: string;
  partial: boolean; // has not ended yet
  href: string | null;
  imported: number | null; // by another tool
  importedText: string;
  mark: string; // what has to be known of it
}

/** Reads the chart's points from its table: the page carries them once. */
export function readSeries(table: HTMLTableElement): Point[] {
  return Array.from(table.tBodies[0]?.rows ?? [], (row) => {
    const { value, before, short, partial, imported, mark } = row.dataset;
    return {
      label: row.cells[0]?.textContent?.trim() ?? '',
      short: short ?? '',
      text: row.cells[1]?.textContent?.trim() ?? '',
      value: value === undefined ? null : Number(value),
      before: before === undefined ? null : Number(before),
      beforeText: row.cells[2]?.textContent?.trim() ?? '',
      partial: partial !== undefined,
      imported: imported === undefined ? null : Number(imported),
      importedText: imported === undefined ? '' : (row.cells[3]?.textContent?.trim() ?? ''),
      mark: mark ?? '',
      href: row.querySelector('a')?.href ?? null,
    };
  });
}
