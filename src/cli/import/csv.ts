/** What a line of CSV says: NDJSON, nothing, or what is wrong with it. */
export type CsvLine = { readonly json: string } | { readonly problem: string };

const NOTHING: CsvLine = { json: "" };

/**
 * Reads CSV (RFC 4180, no line breaks inside fields) line by line as NDJSON. The first line names the fields; one that is
 * not known would be left out unnoticed, as `expires` for `expires_at`: it is a problem of the heading. Empty fields are
 * left out.
 */
export function csvReader(known: readonly string[]): (line: string, number: number) => CsvLine {
  let names: readonly string[] = [];
  return (line, number) => {
    const cells = splitLine(line);
    if (number === 1) {
      names = (cells ?? []).map((cell) => cell.trim().toLowerCase());
      const problem = headingProblem(names, known);
      return problem === undefined ? NOTHING : { problem };
    }
    if (line.trim() === "") return NOTHING;
    if (cells === undefined) return { problem: "has a quote where none can be, or one that is not closed" };
    if (cells.length !== names.length)
      return { problem: `has ${cells.length} fields, the heading has ${names.length}` };
    const fields = names.map((name, at) => [name, cells[at] ?? ""]).filter(([, cell]) => cell !== "");
    return { json: JSON.stringify(Object.fromEntries(fields)) };
  };
}

function headingProblem(names: readonly string[], known: readonly string[]): string | undefined {
  const wanted = `the heading names fields, comma-separated, of ${known.join(", ")}`;
  const strange = names.filter((name) => !known.includes(name));
  if (strange.length > 0) return `${strange.map((name) => `"${name}"`).join(", ")}: ${wanted}`;
  return new Set(names).size < names.length ? `names a field twice: ${wanted}` : undefined;
}

/** Undefined where quotes do not fit. */
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
