import { cpus, loadavg, release, totalmem } from "node:os";
import { table } from "./figures.ts";
import type { Figures } from "./rounds.ts";

/** One table: its figures, by what was measured. */
export interface Section {
  readonly name: string;
  readonly title: string;
  /** What the others are compared with. */
  readonly baseline: string;
  readonly rows: Readonly<Record<string, Figures>>;
  /** What should have been measured and could not be, with why. */
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

/** For people: medians, from the least to the most, and how many times the baseline each is. */
export function printed({ title, baseline, rows, missing = [] }: Section): string {
  const columns = Object.keys(Object.values(rows)[0] ?? {});
  const head = ["", ...columns.flatMap((column) => [column, `× ${baseline}`])];
  const lines = Object.entries(rows).map(([name, figures]) => [
    name,
    ...columns.flatMap((column) => {
      const figure = figures[column];
      const base = rows[baseline]?.[column];
      if (figure === undefined || base === undefined) return ["", ""];
      const ratio = base.median === 0 ? Number.NaN : figure.median / base.median;
      return [
        `${rounded(figure.median)} (${rounded(figure.least)} – ${rounded(figure.most)})`,
        Number.isNaN(ratio) ? "" : ratio.toFixed(2),
      ];
    }),
  ]);
  return [`### ${title}`, "", table(head, lines), ...missing.map((what) => `\nMissing: ${what}`), ""].join(
    "\n",
  );
}

function rounded(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

/** Where it was measured. */
export function machine() {
  const [cpu] = cpus();
  return {
    cpu: cpu?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    date: new Date().toISOString(),
    /** Above 0 before we began: others used the machine as well. */
    loadBefore: loadavg()[0] ?? Number.NaN,
  };
}
