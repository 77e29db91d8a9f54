import { median } from "./figures.ts";

/** One measurement of one thing, again and again: its middle, and its least and most. */
export interface Figure {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export type Figures = Readonly<Record<string, Figure>>;

/**
 * Measures each in its turn, so many times: whatever else the machine does meanwhile, it does to all of them. Of
 * several rounds there is one more, the first, which warms up and is thrown away.
 */
export async function alternate<Thing extends { readonly name: string }>(
  things: readonly Thing[],
  rounds: number,
  measure: (thing: Thing) => Promise<Readonly<Record<string, number>>>,
): Promise<ReadonlyMap<string, Figures>> {
  const seen = new Map(things.map(({ name }) => [name, [] as Readonly<Record<string, number>>[]]));
  const warmUps = rounds > 1 ? 1 : 0;
  for (let round = 0; round < warmUps + rounds; round++) {
    for (const thing of things) {
      const figures = await measure(thing);
      if (round >= warmUps) seen.get(thing.name)?.push(figures);
    }
  }
  return new Map([...seen].map(([name, all]) => [name, joined(all)]));
}

function joined(all: readonly Readonly<Record<string, number>>[]): Figures {
  const names = Object.keys(all[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const values = all.map((figures) => figures[name] ?? Number.NaN);
      return [name, { median: median(values), least: Math.min(...values), most: Math.max(...values) }];
    }),
  );
}
