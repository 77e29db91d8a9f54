/** A line of CSV (RFC 4180), without its end. */
export function csvLine(cells: readonly string[]): string {
  return cells.map(cell).join(",");
}

/** A spreadsheet runs a cell that begins with one of these as a formula, so an apostrophe comes first. */
const FORMULA = /^[=+\-@\t\r\n]/;

function cell(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A document with a line of column names. */
export function csvDocument(head: string, lines: readonly string[]): string {
  return [head, ...lines].map((line) => `${line}\r\n`).join("");
}

export const CSV_TYPE = "text/csv; charset=utf-8; header=present";
