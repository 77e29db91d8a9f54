import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import type { FaultLoop } from "./faults.ts";
import { cause } from "./faults.ts";
import type { Fleet } from "./fleet.ts";
import { startFleet } from "./fleet.ts";
import { MAX_STALENESS_MS } from "./key-model.ts";
import { judgeNames } from "./names.ts";
import { observe, observeAll } from "./observe.ts";
import type { History } from "./operations.ts";
import { operate } from "./operations.ts";
import { createRandom } from "./random.ts";
import { overshoot, spend } from "./spending.ts";
import type { HistoryStore } from "./stores/store.ts";
import { until } from "./stores/store.ts";

const { HISTORY_SECONDS, HISTORY_SEED, HISTORY_LOG } = process.env;
const SEED = HISTORY_SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(HISTORY_SEED);
const CLIENTS = 4;
const OBSERVERS = 2;
/** A history with very many keys shows little new, so a run of hours consists of many histories. */
const EPISODE_MS = 60_000;
const KEPT_LINES = 400;
/** Between two faults. */
const MAX_QUIET_MS = 1500;
/**
 * Between two failovers, after which each instance loads all revocations. What they receive in between would hardly be seen if
 * this was always shorter than the time that a revocation may take.
 */
const MAX_WHOLE_MS = 30_000;

export interface SuiteOptions {
  readonly startStore: () => Promise<HistoryStore>;
  readonly instances: number;
  /** Faults of different loops happen at the same time. */
  readonly loops: readonly FaultLoop[];
  /** For how long, unless HISTORY_SECONDS says so. */
  readonly seconds: number;
}

/**
 * Runs clients, observers and faults concurrently until the time is over or a guarantee is violated. Returns
 * the violations.
 */
async function runEpisode(
  fleet: Fleet,
  history: History,
  ms: number,
  loops: readonly FaultLoop[],
): Promise<string[]> {
  const violations: string[] = [];
  const limitedKey = await registerLimited(fleet);
  const endMs = performance.now() + ms;
  const goesOn = () => performance.now() < endMs && violations.length === 0;
  const repeat = async (step: () => Promise<void>) => {
    while (goesOn()) await step();
  };
  const { random, keys } = history;
  const running = () => fleet.instances.filter(({ process }) => process !== undefined);
  await Promise.all([
    ...Array.from({ length: CLIENTS }, () =>
      repeat(async () => {
        await operate(history, fleet.instances);
        await pause(20);
      }),
    ),
    ...Array.from({ length: OBSERVERS }, () =>
      repeat(async () => {
        const up = running();
        if (keys.length === 0 || up.length === 0) return pause(20);
        const violation = await observe(history, random.pick(keys), random.pick(up));
        if (violation !== undefined) violations.push(violation);
      }),
    ),
    repeat(async () => {
      const up = running();
      if (up.length > 0) await spend(history, random.pick(up), limitedKey);
      await pause(50);
    }),
    ...loops.map((loop) =>
      repeat(async () => {
        await pause(random.below(loop === "of the store" ? MAX_WHOLE_MS : MAX_QUIET_MS));
        await cause(history, fleet, loop);
      }),
    ),
  ]);
  return [...violations, ...overshoot(history)];
}

/** On a busy machine a command may time out; the call is then repeated. */
async function registerLimited({ instances }: Fleet): Promise<string> {
  let token = "";
  await until(async () => {
    const issued = await instances[0]?.client.register({ name: "limited", key_type: "contributor" });
    token = issued?.api_key ?? "";
    return token !== "";
  });
  return token;
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
  await pause(2 * MAX_STALENESS_MS + history.splitMs);
  const found = await Promise.all(instances.map((instance) => observeAll(history, instance)));
  return [...found.flat(), ...(await judgeNames(history, another))];
}

export function historySuite({ startStore, instances, loops, seconds }: SuiteOptions): void {
  const runMs = Number(HISTORY_SECONDS ?? seconds) * 1000;
  test("no history of operations and faults breaks a promise", { timeout: 2 * runMs + 600_000 }, async () => {
    console.log(`HISTORY_SEED=${SEED} HISTORY_SECONDS=${runMs / 1000}`);
    const totals = { lines: 0, keys: 0, names: 0, storeFaults: 0, checks: {} as Record<string, number> };
    for (let seed = SEED, leftMs = runMs; leftMs > 0; seed++, leftMs -= EPISODE_MS) {
      const lines: string[] = [];
      const store = await startStore();
      const history: History = {
        keys: [],
        phases: [],
        ends: [],
        names: [],
        admittedMs: [],
        reasons: new Map(),
        lossesMs: [],
        storeFaults: 0,
        splitMs: store.splitMs,
        random: createRandom(seed),
        note: (line) => void lines.push(`${(performance.now() / 1000).toFixed(2)} ${line}`),
      };
      const fleet = await startFleet(instances, store);
      try {
        const broken = await runEpisode(fleet, history, Math.min(leftMs, EPISODE_MS), loops);
        if (broken.length === 0) broken.push(...(await agree(fleet, history)));
        expect(broken, [`HISTORY_SEED=${seed}`, ...lines.slice(-KEPT_LINES)].join("\n")).toEqual([]);
      } finally {
        await fleet.stop();
        if (HISTORY_LOG !== undefined) appendFileSync(HISTORY_LOG, `${lines.join("\n")}\n`);
      }
      totals.lines += lines.length;
      totals.keys += history.keys.length;
      totals.names += history.names.length;
      for (const [reason, count] of history.reasons)
        totals.checks[reason] = (totals.checks[reason] ?? 0) + count;
      totals.storeFaults += history.storeFaults / 2;
    }
    console.log(`no promise broken: ${JSON.stringify(totals)}`);
  });
}
