import { describeFieldNames } from "../../core/legacy/field-name.ts";

/** A line of CSV as a line of NDJSON (empty for the heading and blank lines), or its problem. */
export type CsvLine = { readonly json: string } | { readonly problem: string };

const EMPTY: CsvLine = { json: "" };

/**
 * Reads CSV (RFC 4180, no line breaks inside fields) line by line as NDJSON. The first line names the fields. An unknown
 * field is an error, because a misspelled one, such as `expires` for `expires_at`, would be lost silently. Omits empty
 * fields.
 */
export function csvReader(known: readonly string[]): (line: string, number: number) => CsvLine {
  let names: readonly string[] = [];
  return (line, number) => {
    const cells = splitLine(line);
    if (number === 1) {
      names = (cells ?? []).map((cell) => cell.trim().toLowerCase());
      const problem = headingProblem(names, known);
      return problem === undefined ? EMPTY : { problem };
    }
    if (line.trim() === "") return EMPTY;
    if (cells === undefined) return { problem: "has a misplaced or unclosed quote" };
    if (cells.length !== names.length)
      return { problem: `has ${cells.length} fields, but the heading has ${names.length}` };
    const fields = names.map((name, at) => [name, cells[at] ?? ""]).filter(([, cell]) => cell !== "");
    return { json: JSON.stringify(Object.fromEntries(fields)) };
  };
}

function headingProblem(names: readonly string[], known: readonly string[]): string | undefined {
  const rule = `the heading may have these fields, comma-separated: ${known.join(", ")}`;
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) return `the heading has unknown fields: ${describeFieldNames(unknown)}; ${rule}`;
  return new Set(names).size < names.length ? `the heading has a field twice; ${rule}` : undefined;
}

/** Undefined if a quote is misplaced. */
function splitLine(line: string): string[] | undefined {
  const cells: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  for (;;) {
    const match = cell.exec(line);
    if (match === null) return undefined;
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    if (match[3] === "") return cells;
  }
}
