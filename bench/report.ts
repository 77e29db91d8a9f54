import { cpus, loadavg, release, totalmem } from "node:os";
import { table } from "./figures.ts";
import type { Figure, Figures } from "./rounds.ts";

/** One table of results. */
export interface Section {
  readonly name: string;
  readonly title: string;
  /** The row that the others are compared with. */
  readonly baseline: string;
  readonly rows: Readonly<Record<string, Figures>>;
  /** Candidates that could not be measured, with the reason. */
  readonly missing?: readonly string[];
}

export function section(
  name: string,
  title: string,
  baseline: string,
  figures: ReadonlyMap<string, Figures>,
  missing: readonly string[] = [],
): Section {
  return { name, title, baseline, rows: Object.fromEntries(figures), missing };
}

/** Formats a table: medians with minimum and maximum, and their ratios to the baseline if that is not 0. */
export function formatSection({ title, baseline, rows, missing = [] }: Section): string {
  const columns = Object.keys(Object.values(rows)[0] ?? {});
  const base = (column: string) => rows[baseline]?.[column]?.median ?? 0;
  const head = ["", ...columns.flatMap((column) => (base(column) === 0 ? [column] : [column, "×"]))];
  const lines = Object.entries(rows).map(([name, figures]) => [
    name,
    ...columns.flatMap((column) => {
      const figure = figures[column];
      const ratio = base(column) === 0 ? [] : [figure ? (figure.median / base(column)).toFixed(2) : ""];
      return [figure ? formatFigure(figure) : "", ...ratio];
    }),
  ]);
  const notes = missing.map((what) => `\nMissing: ${what}`);
  return [`### ${title} (×: of ${baseline})`, "", table(head, lines), ...notes, ""].join("\n");
}

function formatFigure({ median, least, most }: Figure): string {
  return `${formatNumber(median)} (${formatNumber(least)} – ${formatNumber(most)})`;
}

function formatNumber(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

/** The machine of the measurement. */
export function describeMachine() {
  const [cpu] = cpus();
  return {
    cpu: cpu?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    date: new Date().toISOString(),
    /** A value above 0 before the start means other load on the machine. */
    loadBefore: loadavg()[0] ?? Number.NaN,
  };
}
