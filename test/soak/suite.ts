import fc from "fast-check";
import { expect, test } from "vitest";
import { CHANGES } from "./changes.ts";
import { HEALED_WITHIN_MS } from "./durations.ts";
import type { Level } from "./figures.ts";
import { figuresOf, levelAtRest } from "./figures.ts";
import { recordFigures } from "./figures-file.ts";
import { above, memoryGrowth } from "./flat.ts";
import { ENDS, HOST_FAULTS } from "./host-faults.ts";
import type { SoakKeys } from "./keys.ts";
import { endOne, firstKeys, until, withKey, withLegacyKey } from "./keys.ts";
import type { SoakedListener } from "./listener.ts";
import type { Soaked } from "./soaked.ts";
import { startSoaked } from "./soaked.ts";
import type { Steps } from "./steps.ts";
import type { SoakedStore } from "./stores.ts";
import type { Tally } from "./traffic.ts";
import { EXPECTED, newTally, startTraffic } from "./traffic.ts";

const SECOND_MS = 1000;
const { SOAK_SECONDS, SOAK_SEED } = process.env;
const seed = SOAK_SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(SOAK_SEED);
/** The part of the time in which faults also end the process. After it, one process survives all faults. */
const WITH_ENDS = 1 / 4;

export interface SoakOptions {
  readonly startStore: () => Promise<SoakedStore>;
  readonly listen: () => Promise<SoakedListener>;
  /** For how long, unless SOAK_SECONDS says so. */
  readonly seconds: number;
}

export function soakSuite({ startStore, listen, seconds }: SoakOptions): void {
  const runMs = Number(SOAK_SECONDS ?? seconds) * SECOND_MS;
  test(
    "no sequence of faults and changes lets an ended key through, valid keys are served again, and nothing grows",
    async () => {
      console.log(`SOAK_SEED=${seed} SOAK_SECONDS=${runMs / SECOND_MS}`);
      const store = await startStore();
      try {
        await soak(store, await listen(), runMs);
      } finally {
        await store.stop();
      }
    },
    2 * runMs + 900 * SECOND_MS,
  );
}

async function soak(store: SoakedStore, listener: SoakedListener, runMs: number): Promise<void> {
  const soaked = await startSoaked(store, listener);
  const [tally, schedule]: [Tally, string[]] = [newTally(), []];
  const survived = { ...HOST_FAULTS, ...CHANGES, ...listener.steps, ...store.faults };
  const draws = fc.sample(fc.noBias(fc.nat()), { seed, numRuns: 100_000 });
  const sinceMs = performance.now();
  try {
    await soaked.ready();
    const keys = await firstKeys(soaked);
    const run = async (steps: Steps, forMs: number) => {
      const traffic = startTraffic(soaked, keys, tally, () => schedule.at(-1));
      try {
        await runSteps(soaked, keys, steps, { draws, schedule, tally, forMs });
        await expect.poll(() => missing(tally), { timeout: HEALED_WITHIN_MS }).toEqual([]);
      } finally {
        await traffic.stop();
      }
    };
    const recorded = recordFigures(store.name, runMs, () =>
      figuresOf(soaked, sinceMs, keys, tally, schedule.length),
    );
    let risen: readonly string[] = [];
    try {
      await run({ ...survived, ...ENDS }, runMs * WITH_ENDS);
      await soaked.restart();
      const rest = await restOf(soaked, keys);
      await run(survived, runMs * (1 - WITH_ENDS));
      risen = await untilAtRest(soaked, rest);
    } finally {
      await recorded.stop();
    }
    const ofOneProcess = recorded.rows.filter(({ restarts }) => restarts === soaked.restarts());
    expect([...risen, ...memoryGrowth(ofOneProcess)]).toEqual([]);
    // After a last restart each of them is still denied.
    await soaked.restart();
    for (const key of keys.ended)
      await until(soaked.front, withKey(key), "denied", "an ended key, at the end");
    console.log(`${schedule.length} steps, ${keys.ended.length} keys ended`, tally.seen);
  } catch (error) {
    throw new Error(`SOAK_SEED=${seed}, after ${schedule.join(", ")}: ${error}`, { cause: error });
  } finally {
    await soaked.stop();
  }
  expect([`SOAK_SEED=${seed}`, ...tally.wrong]).toEqual([`SOAK_SEED=${seed}`]);
}

/** Outcomes that the soak has not seen yet. Without them it has not tried what it claims. */
function missing({ seen }: Tally): readonly string[] {
  const outcomes = [...seen.keys()];
  return EXPECTED.filter((expected) => !outcomes.some((outcome) => outcome.startsWith(expected)));
}

interface Run {
  readonly draws: readonly number[];
  readonly schedule: string[];
  readonly tally: Tally;
  readonly forMs: number;
}

async function runSteps(
  soaked: Soaked,
  keys: SoakKeys,
  steps: Steps,
  { draws, schedule, tally, forMs }: Run,
): Promise<void> {
  const names = Object.keys(steps);
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs && tally.wrong.length === 0) {
    const draw = draws[schedule.length % draws.length] ?? 0;
    const name = names[draw % names.length] ?? "";
    schedule.push(name);
    const step = steps[name]?.(soaked, Math.floor(draw / names.length), keys);
    await endOne(soaked, keys, draw);
    await step;
    await soaked.ready();
    await endOne(soaked, keys, draw + 1);
    await until(soaked.front, withKey(keys.valid), "allowed", `after: ${name}`);
    await until(soaked.front, withLegacyKey(keys.legacy), "allowed", `after: ${name}`);
  }
}

/** What is still above the level at the start some minutes after the traffic; empty once nothing is. */
async function untilAtRest(soaked: Soaked, rest: Level): Promise<readonly string[]> {
  const lateMs = performance.now() + HEALED_WITHIN_MS;
  for (;;) {
    const risen = above(rest, await levelAtRest(soaked));
    if (risen.length === 0 || performance.now() > lateMs) return risen;
  }
}

/** What the process holds without traffic, once it has opened what it opens with the first request. */
async function restOf(soaked: Soaked, keys: SoakKeys): Promise<Level> {
  await endOne(soaked, keys, 0);
  await until(soaked.front, withKey(keys.valid), "allowed", "before the traffic");
  await until(soaked.front, withLegacyKey(keys.legacy), "allowed", "before the traffic");
  return levelAtRest(soaked);
}
