import type { RateLimit } from "../src/core/policy/policy.ts";
import { crashSome, runLoad } from "./fleet-load.ts";
import type { SimulatedInstance } from "./simulated-instance.ts";
import { createSimulatedInstance } from "./simulated-instance.ts";
import { createSimulatedStore } from "./simulated-store.ts";
import { createVirtualTime } from "./virtual-time.ts";

export interface FleetOptions {
  readonly instances: number;
  readonly keys: number;
  /** Virtual seconds. */
  readonly seconds: number;
  /** Requests per second of the whole fleet. */
  readonly rate: number;
  /** Instances that the requests of one key reach. A client has few, long-lived connections. */
  readonly spread: number;
  readonly limit: RateLimit;
  readonly seed: number;
  /** Share of instances that crash and restart in each second. */
  readonly crashes?: number;
  /** Virtual seconds between which the store does not respond. */
  readonly outage?: { readonly from: number; readonly to: number };
  /** Virtual second at which the store loses everything. */
  readonly lossAt?: number;
}

export interface FleetResult {
  readonly requests: number;
  readonly admitted: number;
  /** Admitted requests, divided by those that one bucket without a network would have admitted. */
  readonly admittedOverIdeal: number;
  /** The largest excess of any key over C + r·T in any span, in tokens. Below 0 if no key reached the bound. */
  readonly overshoot: number;
  /** Requests denied while the store had open leases of the key, per request. */
  readonly strandedPerRequest: number;
  readonly commandsPerRequest: number;
}

const LOCAL_MAX_MS = 5000;

interface Key {
  readonly bucketId: string;
  readonly first: number;
  readonly bound: Gauge;
  readonly ideal: Gauge;
}

/** A bucket without a network. A negative level is the excess of an admission. */
interface Gauge {
  level: number;
  atMs: number;
}

/** Runs the real state machines of a fleet in virtual time. */
export async function runFleet(options: FleetOptions): Promise<FleetResult> {
  const simulation = createSimulation(options);
  const { time, store, fleet } = simulation;
  if (options.lossAt !== undefined) time.at(options.lossAt * 1000, store.loseData);
  await runLoad(time, {
    ...options,
    setReachable: store.setReachable,
    onRequest: () => sendRequest(simulation, options),
    onSweep() {
      for (const { pool } of fleet) void pool.sweep();
    },
    onSecond() {
      for (const instance of fleet) instance.heartbeat();
      crashSome(fleet, { ...simulation, crashes: options.crashes });
    },
  });
  return resultOf(simulation);
}

type Simulation = ReturnType<typeof createSimulation>;

function createSimulation({ limit, instances, keys: size, seed }: FleetOptions) {
  const random = createRandom(seed);
  const time = createVirtualTime();
  const store = createSimulatedStore(time, { delayMs: () => 0.3 + random() * 0.7, localMaxMs: LOCAL_MAX_MS });
  let starts = 0;
  const start = (): SimulatedInstance =>
    createSimulatedInstance({
      store,
      time,
      instanceId: `i${starts++}`,
      localMaxMs: LOCAL_MAX_MS,
      maxBuckets: size,
    });
  const full = () => ({ level: limit.capacity, atMs: 0 });
  const keys: Key[] = Array.from({ length: size }, (_, at) => ({
    bucketId: `k${at}`,
    first: Math.floor(random() * instances),
    bound: full(),
    ideal: full(),
  }));
  const tally = { requests: 0, admitted: 0, ideal: 0, overshoot: Number.NEGATIVE_INFINITY, stranded: 0 };
  const fleet = Array.from({ length: instances }, start);
  return { random, time, store, start, fleet, keys, pick: zipf(size, random), tally };
}

function sendRequest(
  { time, store, fleet, keys, pick, random, tally }: Simulation,
  { limit, spread }: FleetOptions,
): void {
  const key = keys[pick()];
  const instance = key && fleet[(key.first + Math.floor(random() * spread)) % fleet.length];
  if (key === undefined || instance === undefined) return;
  tally.requests++;
  if (spend(key.ideal, limit, time.nowMs(), true) >= 0) tally.ideal++;
  const settle = (ok: boolean) => {
    if (ok) {
      tally.admitted++;
      tally.overshoot = Math.max(tally.overshoot, -spend(key.bound, limit, time.nowMs(), false));
    } else if (store.outstanding(key.bucketId) > 0) tally.stranded++;
  };
  const outcome = instance.pool.take([{ bucketId: key.bucketId, limit }], 1, time.nowMs());
  if (outcome instanceof Promise) void outcome.then(({ ok }) => settle(ok));
  else settle(outcome.ok);
}

function resultOf({ tally, store }: Simulation): FleetResult {
  return {
    requests: tally.requests,
    admitted: tally.admitted,
    admittedOverIdeal: tally.admitted / tally.ideal,
    overshoot: tally.overshoot,
    strandedPerRequest: tally.stranded / tally.requests,
    commandsPerRequest: store.commands() / tally.requests,
  };
}

/** Takes one token and returns the level after it. With `whole` it takes none that the bucket does not have. */
function spend(gauge: Gauge, limit: RateLimit, nowMs: number, whole: boolean): number {
  const refilled = gauge.level + (limit.refillPerSecond * (nowMs - gauge.atMs)) / 1000;
  gauge.level = Math.min(limit.capacity, refilled) - 1;
  gauge.atMs = nowMs;
  const left = gauge.level;
  if (whole && left < 0) gauge.level++;
  return left;
}

/** Random indexes with a Zipf distribution (exponent 1). */
function zipf(size: number, random: () => number): () => number {
  const sums = new Float64Array(size);
  let sum = 0;
  for (let rank = 0; rank < size; rank++) {
    sum += 1 / (rank + 1);
    sums[rank] = sum;
  }
  return () => {
    const target = random() * sum;
    let [low, high] = [0, size - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? sum) < target) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Reproducible random numbers: a linear congruential generator modulo 2^48, as in POSIX drand48. */
export function createRandom(seed: number): () => number {
  let state = (BigInt(seed) << 16n) + 0x330en;
  return () => {
    state = (state * 0x5deece66dn + 11n) & 0xffff_ffff_ffffn;
    return Number(state) / 2 ** 48;
  };
}
