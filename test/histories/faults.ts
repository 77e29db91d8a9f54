import { setTimeout as pause } from "node:timers/promises";
import type { Fleet, Instance } from "./fleet.ts";
import type { History } from "./operations.ts";

const MIN_FAULT_MS = 300;
const MAX_FAULT_MS = 5000;
/** Instances tolerate 5 s; Redis's clock is this machine's. */
const MAX_CLOCK_SECONDS = 4;

interface InstanceFault {
  readonly name: string;
  run(fleet: Fleet, instance: Instance, ms: number, history: History): Promise<void>;
}

const INSTANCE_FAULTS: readonly InstanceFault[] = [
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
    (kind): InstanceFault => ({
      name: `${kind} between it and Redis`,
      async run(_fleet, { way }, ms) {
        way.set({ kind });
        await pause(ms);
        way.set({ kind: "pass" });
      },
    }),
  ),
  ...(["black-hole", "refuse"] as const).map(
    (kind): InstanceFault => ({
      name: `${kind} between it and a part of Redis`,
      async run(_fleet, { way }, ms) {
        way.setPart({ kind });
        await pause(ms);
        way.setPart({ kind: "pass" });
      },
    }),
  ),
  {
    name: "a slow way to Redis",
    async run(_fleet, { way }, ms) {
      way.set({ kind: "delay", ms: 300 });
      await pause(ms);
      way.set({ kind: "pass" });
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
];

/** Which faults may happen at the same time: one of a loop after the other. */
export type FaultLoop = "at instances" | "of the store" | "any";

/** One fault, from its start to its end. */
export async function cause(history: History, fleet: Fleet, loop: FaultLoop): Promise<void> {
  const { random, note } = history;
  const instance = random.pick(fleet.instances);
  const ms = MIN_FAULT_MS + random.below(MAX_FAULT_MS - MIN_FAULT_MS);
  const atInstance = INSTANCE_FAULTS.map(({ name, run }) => ({
    name: `${name} (${instance.name})`,
    run: () => run(fleet, instance, ms, history),
  }));
  const ofStore = fleet.store.faults.map(({ name, run }) => ({
    name,
    async run() {
      history.storeFaults++;
      await run(ms, history);
      history.lossesMs.push(performance.now());
      history.storeFaults++;
    },
  }));
  const faults = { "at instances": atInstance, "of the store": ofStore, any: [...atInstance, ...ofStore] };
  const fault = random.pick(faults[loop]);
  note(`fault: ${fault.name}`);
  await fault.run();
  note(`over: ${fault.name}`);
}
