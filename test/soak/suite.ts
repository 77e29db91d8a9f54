import fc from "fast-check";
import { expect, test } from "vitest";
import { CHANGES } from "./changes.ts";
import { HEALED_WITHIN_MS } from "./durations.ts";
import type { Figures, Level } from "./figures.ts";
import { createFigures, levelAtRest } from "./figures.ts";
import { recordFigures } from "./figures-file.ts";
import { above, memoryGrowth } from "./flat.ts";
import { ENDS, HOST_FAULTS } from "./host-faults.ts";
import type { SoakKeys } from "./keys.ts";
import { endOne, firstKeys, until, verdictOn, withKey, withLegacyKey } from "./keys.ts";
import type { SoakedListener } from "./listener.ts";
import type { Soaked } from "./soaked.ts";
import { startSoaked } from "./soaked.ts";
import type { Steps } from "./steps.ts";
import type { SoakedStore } from "./stores.ts";
import type { Tally } from "./traffic.ts";
import { EXPECTED, newTally, sentOf, startTraffic } from "./traffic.ts";

const SECOND_MS = 1000;
const { SOAK_SECONDS, SOAK_SEED } = process.env;
const seed = SOAK_SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(SOAK_SEED);
/** The part of the time in which faults also end the process. After it, one process survives all faults. */
const WITH_ENDS = 1 / 4;
/** After them, most of the code that decides is compiled. */
const WARM_UP_REQUESTS = 1000;
/** Of figures of one process, to judge them. */
const LEAST_ROWS = 8;
const WAIT = { timeout: HEALED_WITHIN_MS, interval: 100 };

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

/** What the parts of a soak share. */
interface Soak {
  readonly soaked: Soaked;
  readonly keys: SoakKeys;
  readonly tally: Tally;
  /** The names of all steps up to now. */
  readonly schedule: string[];
}

async function soak(store: SoakedStore, listener: SoakedListener, runMs: number): Promise<void> {
  const soaked = await startSoaked(store, listener);
  const [tally, schedule]: [Tally, string[]] = [newTally(), []];
  try {
    await soaked.ready();
    const all: Soak = { soaked, keys: await firstKeys(soaked), tally, schedule };
    const survived = { ...HOST_FAULTS, ...CHANGES, ...listener.steps, ...store.faults };
    const recorded = recordFigures(store.name, runMs, createFigures(all));
    try {
      await underTraffic(all, () => runSteps(all, { ...survived, ...ENDS }, runMs * WITH_ENDS));
      await soaked.restart();
      await soakOneProcess(all, survived, runMs * (1 - WITH_ENDS), recorded.rows);
    } finally {
      await recorded.stop();
    }
    // After a last restart each of them is still denied.
    await soaked.restart();
    for (const key of all.keys.ended) expect(await verdictOn(soaked.front, withKey(key))).toBe("denied");
    console.log(`${schedule.length} steps, ${all.keys.ended.length} keys ended`, tally.seen);
  } catch (error) {
    throw new Error(`SOAK_SEED=${seed}, after ${schedule.join(", ")}: ${error}`, { cause: error });
  } finally {
    await soaked.stop();
  }
}

/** All steps happen to one process, and nothing of them may stay. `rows` grows meanwhile. */
async function soakOneProcess(
  all: Soak,
  steps: Steps,
  forMs: number,
  rows: readonly Figures[],
): Promise<void> {
  const { tally, soaked } = all;
  const warmAt = sentOf(tally) + WARM_UP_REQUESTS;
  await underTraffic(all, () => expect.poll(() => sentOf(tally), WAIT).toBeGreaterThan(warmAt));
  const rest = await levelAtRest(soaked);
  const first = rows.length;
  await underTraffic(all, async () => {
    await runSteps(all, steps, forMs);
    await expect.poll(() => unseen(tally), WAIT).toEqual([]);
    await expect.poll(() => rows.length - first, WAIT).toBeGreaterThanOrEqual(LEAST_ROWS);
  });
  const growth = memoryGrowth(rows.slice(first));
  expect([...(await untilAtRest(soaked, rest)), ...growth]).toEqual([]);
}

async function underTraffic(
  { soaked, keys, tally, schedule }: Soak,
  run: () => Promise<void>,
): Promise<void> {
  const traffic = startTraffic(soaked, keys, tally, () => schedule.at(-1));
  try {
    await run();
  } finally {
    await traffic.stop();
  }
  expect(tally.wrong).toEqual([]);
}

const SAMPLED = { seed, numRuns: 1000 };
const draws = fc.sample(fc.noBias(fc.nat()), SAMPLED);

/** The steps in a random order. Each happens once before one happens again. */
function* shuffled(steps: Steps) {
  const all = Object.entries(steps);
  const rounds = fc.sample(fc.shuffledSubarray(all, { minLength: all.length }), SAMPLED);
  for (let at = 0; ; at++) yield* rounds[at % rounds.length] ?? [];
}

async function runSteps({ soaked, keys, tally, schedule }: Soak, steps: Steps, forMs: number): Promise<void> {
  const endMs = performance.now() + forMs;
  for (const [name, step] of shuffled(steps)) {
    if (performance.now() >= endMs) return;
    const draw = draws[schedule.length % draws.length] ?? 0;
    schedule.push(name);
    await Promise.all([step(soaked, draw, keys), endOne(soaked, keys, draw)]);
    await soaked.ready();
    await endOne(soaked, keys, draw + 1);
    await until(soaked.front, withKey(keys.valid), "allowed", `after: ${name}`);
    await until(soaked.front, withLegacyKey(keys.legacy), "allowed", `after: ${name}`);
    expect(tally.wrong).toEqual([]);
  }
}

/** Outcomes that the soak must still see. */
function unseen({ seen }: Tally): readonly string[] {
  const outcomes = [...seen.keys()];
  return EXPECTED.filter((expected) => !outcomes.some((outcome) => outcome.startsWith(expected)));
}

/** What is still above the level at the start some minutes after the traffic; empty once nothing is. */
async function untilAtRest(soaked: Soaked, rest: Level): Promise<readonly string[]> {
  const lateMs = performance.now() + HEALED_WITHIN_MS;
  for (;;) {
    const risen = above(rest, await levelAtRest(soaked));
    if (risen.length === 0 || performance.now() > lateMs) return risen;
  }
}
