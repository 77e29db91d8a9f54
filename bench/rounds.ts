import { median } from "./figures.ts";

/** A repeated measurement: median, minimum and maximum. */
export interface Figure {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export type Figures = Readonly<Record<string, Figure>>;

/**
 * Measures the candidates in turn, so that other load on the machine affects all of them. If there is more than one round,
 * an additional first round warms up and is discarded.
 */
export async function alternate<Candidate extends { readonly name: string }>(
  candidates: readonly Candidate[],
  rounds: number,
  measure: (candidate: Candidate) => Promise<Readonly<Record<string, number>>>,
): Promise<ReadonlyMap<string, Figures>> {
  const results = new Map(candidates.map(({ name }) => [name, [] as Readonly<Record<string, number>>[]]));
  const warmUps = rounds > 1 ? 1 : 0;
  for (let round = 0; round < warmUps + rounds; round++) {
    for (const candidate of candidates) {
      const figures = await measure(candidate);
      if (round >= warmUps) results.get(candidate.name)?.push(figures);
    }
  }
  return new Map([...results].map(([name, all]) => [name, summarize(all)]));
}

function summarize(all: readonly Readonly<Record<string, number>>[]): Figures {
  const names = Object.keys(all[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const values = all.map((figures) => figures[name] ?? Number.NaN);
      return [name, { median: median(values), least: Math.min(...values), most: Math.max(...values) }];
    }),
  );
}
