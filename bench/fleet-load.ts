import type { VirtualTime } from "./virtual-time.ts";

const SWEEP_MS = 50;
const STEP_MS = 5;

export interface FleetLoad {
  /** Virtual seconds. */
  readonly seconds: number;
  /** Requests per second of the whole fleet. */
  readonly rate: number;
  /** Virtual seconds between which the store does not respond. */
  readonly outage?: { readonly from: number; readonly to: number } | undefined;
  readonly setReachable: (reachable: boolean) => void;
  readonly onRequest: () => void;
  /** Called as often as an instance sweeps its leases. */
  readonly onSweep: () => void;
  readonly onSecond: () => void;
}

/** Runs the load of a fleet in virtual time. */
export async function runLoad(time: VirtualTime, load: FleetLoad): Promise<void> {
  const endMs = load.seconds * 1000;
  const every = (ms: number, work: () => void) => {
    const turn = () => {
      work();
      if (time.nowMs() + ms <= endMs) time.at(time.nowMs() + ms, turn);
    };
    time.at(0, turn);
  };
  let due = 0;
  every(STEP_MS, () => {
    for (due += (load.rate * STEP_MS) / 1000; due >= 1; due--) load.onRequest();
  });
  every(SWEEP_MS, load.onSweep);
  every(1000, load.onSecond);
  if (load.outage !== undefined) {
    time.at(load.outage.from * 1000, () => load.setReachable(false));
    time.at(load.outage.to * 1000, () => load.setReachable(true));
  }
  await time.runUntil(endMs);
}

/** Crashes and restarts a share of the instances. */
export function crashSome<Instance>(
  fleet: Instance[],
  { crashes = 0, random, start }: CrashOptions<Instance>,
): void {
  for (let left = crashes * fleet.length; left >= 1; left--)
    fleet[Math.floor(random() * fleet.length)] = start();
}

interface CrashOptions<Instance> {
  /** The share of instances. */
  readonly crashes: number | undefined;
  readonly random: () => number;
  readonly start: () => Instance;
}
