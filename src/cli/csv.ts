/**
 * Reads CSV (RFC 4180, no line breaks inside fields) line by line as NDJSON. The first line names the fields, of which
 * only those that are known count; an empty field is left out.
 */
export function csvReader(known: readonly string[]): (line: string, number: number) => string {
  let names: readonly string[] = [];
  return (line, number) => {
    const cells = splitLine(number === 1 ? line.replace(/^\uFEFF/, "") : line);
    if (number === 1) {
      names = cells.map((cell) => cell.trim().toLowerCase());
      return "";
    }
    if (line.trim() === "") return "";
    const fields = names.flatMap((name, at) => {
      const cell = cells[at] ?? "";
      return known.includes(name) && cell !== "" ? [[name, cell] as const] : [];
    });
    return JSON.stringify(Object.fromEntries(fields));
  };
}

function splitLine(line: string): string[] {
  const cells: string[] = [];
  for (const match of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
  }
  return cells;
}
