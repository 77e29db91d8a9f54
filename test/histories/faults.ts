import { setTimeout as pause } from "node:timers/promises";
import type { Fleet, Instance } from "./fleet.ts";
import type { History } from "./operations.ts";

const MIN_FAULT_MS = 300;
const MAX_FAULT_MS = 5000;
/** Instances tolerate 5 s; Redis's clock is this machine's. */
const MAX_CLOCK_SECONDS = 4;
/**
 * A write acknowledged this long ago has reached every running instance, so a Redis that lost it gets it back
 * from them.
 */
const KNOWN_TO_ALL_MS = 2000;

interface Fault {
  readonly name: string;
  run(fleet: Fleet, instance: Instance, ms: number, history: History): Promise<void>;
}

const FAULTS: readonly Fault[] = [
  {
    name: "kill -9",
    async run(fleet, instance, ms) {
      await fleet.kill(instance);
      await pause(ms);
      await fleet.start(instance);
    },
  },
  {
    name: "pause",
    async run(_fleet, { process: running }, ms) {
      if (running === undefined) return;
      process.kill(running.pid, "SIGSTOP");
      await pause(ms);
      process.kill(running.pid, "SIGCONT");
    },
  },
  ...(["black-hole", "refuse"] as const).map(
    (kind): Fault => ({
      name: `${kind} between it and Redis`,
      async run(_fleet, { relay }, ms) {
        relay.set({ kind });
        await pause(ms);
        relay.set({ kind: "pass" });
      },
    }),
  ),
  {
    name: "a slow way to Redis",
    async run(_fleet, { relay }, ms) {
      relay.set({ kind: "delay", ms: 300 });
      await pause(ms);
      relay.set({ kind: "pass" });
    },
  },
  {
    name: "its clock is set",
    async run(_fleet, { clock }, _ms, { random, note }) {
      const seconds = (random.next() * 2 - 1) * MAX_CLOCK_SECONDS;
      note(`by ${seconds.toFixed(2)} s`);
      clock.set(seconds);
    },
  },
  { name: "Redis is killed and started again", run: (fleet) => fleet.restartPrimary() },
  { name: "the address of Redis moves to its replica", run: (fleet) => fleet.failOver() },
  {
    name: "Redis loses all",
    async run(fleet, _instance, _ms, history) {
      // All instances are running and connected, and have applied what was acknowledged before this call.
      await pause(KNOWN_TO_ALL_MS);
      const beforeMs = performance.now() - KNOWN_TO_ALL_MS;
      await fleet.primary().cli("FLUSHALL");
      const afterMs = performance.now();
      for (const key of history.keys) {
        for (const change of key.ends) if (change.ackedMs > beforeMs) change.isCertain = false;
        if (key.sentMs <= afterMs) key.isRecordLost = true;
      }
    },
  },
];

/** One fault at one instance, or at Redis, from its start to its end. */
export async function cause(history: History, fleet: Fleet): Promise<void> {
  const { random } = history;
  const fault = random.pick(FAULTS);
  const instance = random.pick(fleet.instances);
  history.note(`fault: ${fault.name} (${instance.name})`);
  await fault.run(fleet, instance, MIN_FAULT_MS + random.below(MAX_FAULT_MS - MIN_FAULT_MS), history);
  history.note(`over: ${fault.name}`);
}
