import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { cause } from "./faults.ts";
import type { Fleet } from "./fleet.ts";
import { startFleet, until } from "./fleet.ts";
import { MAX_STALENESS_MS } from "./key-model.ts";
import { observe, observeAll } from "./observe.ts";
import type { History } from "./operations.ts";
import { operate } from "./operations.ts";
import { createRandom } from "./random.ts";

const { HISTORY_SECONDS = "60", HISTORY_SEED, HISTORY_LOG } = process.env;
const SEED = HISTORY_SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(HISTORY_SEED);
const RUN_MS = Number(HISTORY_SECONDS) * 1000;
const CLIENTS = 2;
const OBSERVERS = 2;
/** A history with very many keys shows little new, so a run of hours consists of many histories. */
const EPISODE_MS = 60_000;
const KEPT_LINES = 400;

/**
 * Runs clients, observers and faults concurrently until the time is over or a guarantee is violated. Returns
 * the violations.
 */
async function runEpisode(fleet: Fleet, history: History, ms: number): Promise<string[]> {
  const violations: string[] = [];
  const endMs = performance.now() + ms;
  const goesOn = () => performance.now() < endMs && violations.length === 0;
  const repeat = async (step: () => Promise<void>) => {
    while (goesOn()) await step();
  };
  const { random, keys } = history;
  await Promise.all([
    ...Array.from({ length: CLIENTS }, () =>
      repeat(async () => {
        await operate(history, fleet.instances);
        await pause(20);
      }),
    ),
    ...Array.from({ length: OBSERVERS }, () =>
      repeat(async () => {
        const up = fleet.instances.filter(({ process }) => process !== undefined);
        if (keys.length === 0 || up.length === 0) return pause(20);
        const violation = await observe(history, random.pick(keys), random.pick(up));
        if (violation !== undefined) violations.push(violation);
      }),
    ),
    repeat(async () => {
      await pause(random.below(1500));
      await cause(history, fleet);
    }),
  ]);
  return violations;
}

/**
 * Checks that after all faults every instance, including a new one, agrees with the acknowledged operations.
 */
async function agree(fleet: Fleet, history: History): Promise<string[]> {
  const another = await fleet.startAnother();
  const instances = [...fleet.instances, another];
  await Promise.all(
    instances.map((instance) =>
      until(async () => (await fetch(`http://${instance.process?.ops}/readyz`)).ok),
    ),
  );
  await pause(2 * MAX_STALENESS_MS);
  return (await Promise.all(instances.map((instance) => observeAll(history, instance)))).flat();
}

test("no history of operations and faults lets an ended key through, or denies a valid one", {
  timeout: RUN_MS + 240_000,
}, async () => {
  console.log(`HISTORY_SEED=${SEED} HISTORY_SECONDS=${HISTORY_SECONDS}`);
  let operations = 0;
  for (let seed = SEED, leftMs = RUN_MS; leftMs > 0; seed++, leftMs -= EPISODE_MS) {
    const lines: string[] = [];
    const note = (line: string) => {
      operations++;
      lines.push(`${(performance.now() / 1000).toFixed(2)} ${line}`);
    };
    const history: History = {
      keys: [],
      phases: [],
      ends: [],
      random: createRandom(seed),
      note,
    };
    const fleet = await startFleet(3);
    try {
      const broken = await runEpisode(fleet, history, Math.min(leftMs, EPISODE_MS));
      if (broken.length === 0) broken.push(...(await agree(fleet, history)));
      expect(broken, [`HISTORY_SEED=${seed}`, ...lines.slice(-KEPT_LINES)].join("\n")).toEqual([]);
    } finally {
      await fleet.stop();
      if (HISTORY_LOG !== undefined) appendFileSync(HISTORY_LOG, `${lines.join("\n")}\n`);
    }
  }
  console.log(`${operations} operations and faults, no promise broken`);
});
