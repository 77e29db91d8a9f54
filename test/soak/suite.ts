import { rmSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Soaked, Stdout } from "./soaked.ts";
import { POLICY, startSoaked } from "./soaked.ts";
import type { SoakedStore } from "./stores.ts";

const SECOND_MS = 1000;
const { SOAK_SECONDS, SOAK_SEED } = process.env;
const seed = SOAK_SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(SOAK_SEED);
/** The time until valid keys are served again after a fault has ended. */
const HEALED_WITHIN_MS = 60_000;
/**
 * The duration of a fault without an end of its own: longer than the instance waits after a file has changed.
 */
const LASTS_MS = 2000;
const DAY_SECONDS = 86_400;

/**
 * Texts of a policy that no instance may load: each has crashed the process once, or is similar to one that
 * has.
 */
const UNLOADABLE = [
  "routes: [{ path: /a/**, hosts: [*.example.com], public: true }]",
  "<<: *defaults\nroutes: [{ path: /a/**, public: true }]",
  "<<: 3\nroutes: [{ path: /a/**, public: true }]",
  "a: &a [x]\nb: &b [*a, *a]\nroutes: [*b",
  "routes: [{ path: /a/**, public: true",
  "",
  "\u0000\ufffd",
];

const HOST_FAULTS: Readonly<Record<string, (soaked: Soaked, draw: number) => Promise<void>>> = {
  async "a policy that cannot be loaded"(soaked, draw) {
    writeFileSync(soaked.policyFile, UNLOADABLE[draw % UNLOADABLE.length] ?? "");
    await pause(LASTS_MS);
    writeFileSync(soaked.policyFile, POLICY);
  },
  async "a storm of SIGHUP"(soaked) {
    for (let count = 0; count < 200; count++) {
      soaked.signal("SIGHUP");
      await pause(5);
    }
  },
  async "the socket's file is removed"(soaked) {
    rmSync(soaked.socketFile, { force: true });
    await pause(LASTS_MS);
  },
  async "the clock jumps and comes back"(soaked, draw) {
    soaked.clock.set(DAY_SECONDS * ([8, 15, -8, 0.1][draw % 4] ?? 8));
    await pause(LASTS_MS);
    soaked.clock.set(0);
  },
  async "many scrapes at once"(soaked) {
    await Promise.all(Array.from({ length: 50 }, soaked.scrape));
  },
  async "killed, and started again"(soaked) {
    await soaked.restart();
  },
  async "started with a stdout that takes nothing"(soaked, draw) {
    const kinds: readonly Stdout[] = ["unread", "closed", "full"];
    await soaked.restart(kinds[draw % kinds.length]);
    await pause(LASTS_MS);
  },
  async "stopped for a while"(soaked) {
    soaked.signal("SIGSTOP");
    await pause(LASTS_MS);
    soaked.signal("SIGCONT");
  },
};

/** The keys of a soak. A key whose call got no response is in neither list, because its state is unknown. */
interface Keys {
  valid: string[];
  ended: string[];
}

/** Registers a key and ends it: revoked or disabled. */
async function endOne({ operator }: Soaked, keys: Keys, draw: number): Promise<void> {
  try {
    const { api_key, key_id } = await operator.register({ name: "soak", key_type: "basic" });
    if (draw % 2 === 0) await operator.keys.revoke(key_id);
    else await operator.keys.change(key_id, { disabled: true });
    keys.ended.push(api_key);
  } catch {
    // The store or the process is unavailable.
  }
}

/** @param seconds for how long, unless SOAK_SECONDS says so */
export function soakSuite(startStore: () => Promise<SoakedStore>, seconds: number): void {
  const runMs = Number(SOAK_SECONDS ?? seconds) * SECOND_MS;
  test(
    "no sequence of host faults lets an ended key through, and valid keys are served again",
    () => soak(startStore, runMs),
    2 * runMs + 300 * SECOND_MS,
  );
}

async function soak(startStore: () => Promise<SoakedStore>, runMs: number): Promise<void> {
  console.log(`SOAK_SEED=${seed} SOAK_SECONDS=${runMs / SECOND_MS}`);
  const store = await startStore();
  const faults = { ...HOST_FAULTS, ...store.faults };
  const names = Object.keys(faults);
  const draws = fc.sample(fc.noBias(fc.nat()), { seed, numRuns: 100_000 });
  const soaked = await startSoaked(store);
  const keys: Keys = { valid: [], ended: [] };
  const schedule: string[] = [];
  const wrong: string[] = [];
  const asked = { allowed: 0, denied: 0, unanswered: 0 };
  let going = true;
  let turn = 0;
  const askAll = async () => {
    // All ended keys in turn, a few at a time: valid keys are checked as often.
    for (let count = 0; count < 10; count++) {
      const key = keys.ended[turn++ % keys.ended.length] ?? "";
      const answer = await soaked.check(key);
      asked[answer ?? "unanswered"] += 1;
      if (answer === "allowed") wrong.push(`a key that has ended was allowed, during: ${schedule.at(-1)}`);
    }
    for (const key of keys.valid) asked[(await soaked.check(key)) ?? "unanswered"] += 1;
  };
  const traffic = async () => {
    while (going) {
      await askAll();
      await pause(20);
    }
  };
  try {
    await soaked.ready();
    keys.valid = [(await soaked.operator.register({ name: "valid", key_type: "basic" })).api_key];
    // On a busy machine a call may time out.
    for (let draw = 0; keys.ended.length < 2; draw++) await endOne(soaked, keys, draw);
    const clients = traffic();
    const endMs = performance.now() + runMs;
    for (let at = 0; performance.now() < endMs && wrong.length === 0; at++) {
      const draw = draws[at % draws.length] ?? 0;
      const name = names[draw % names.length] ?? "";
      schedule.push(name);
      const fault = faults[name]?.(soaked, Math.floor(draw / names.length));
      await endOne(soaked, keys, draw);
      await fault;
      await soaked.ready();
      await endOne(soaked, keys, draw + 1);
      for (const key of keys.valid)
        await expect
          .poll(() => soaked.check(key), { timeout: HEALED_WITHIN_MS, message: `after: ${name}` })
          .toBe("allowed");
    }
    going = false;
    await clients;
    // After a last restart each of them is still denied.
    await soaked.restart();
    for (const key of keys.ended) expect(await soaked.check(key)).toBe("denied");
  } catch (error) {
    throw new Error(`SOAK_SEED=${seed}, after ${schedule.join(", ")}: ${error}`, { cause: error });
  } finally {
    going = false;
    await soaked.stop();
    await store.stop();
  }
  console.log(`${schedule.length} faults, ${keys.ended.length} keys ended, Checks: ${JSON.stringify(asked)}`);
  expect([`SOAK_SEED=${seed}`, ...wrong]).toEqual([`SOAK_SEED=${seed}`]);
  expect(asked.denied).toBeGreaterThan(0);
}
