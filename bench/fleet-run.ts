import type { RateLimit } from "../src/core/policy/policy.ts";
import type { SimulatedInstance } from "./simulated-instance.ts";
import { createSimulatedInstance } from "./simulated-instance.ts";
import { createSimulatedStore } from "./simulated-store.ts";
import { createVirtualTime } from "./virtual-time.ts";

export interface FleetOptions {
  readonly instances: number;
  readonly keys: number;
  /** Virtual seconds. */
  readonly seconds: number;
  /** Requests a second, of the whole fleet. */
  readonly rate: number;
  /** How many instances the requests of one key reach: its connections are few and live long. */
  readonly spread: number;
  readonly limit: RateLimit;
  readonly seed: number;
  /** Share of instances that crash and start anew in each second. */
  readonly crashes?: number;
  /** Virtual seconds in which the store does not answer. */
  readonly outage?: { readonly from: number; readonly to: number };
  /** Virtual second at which the store loses everything. */
  readonly lossAt?: number;
}

export interface FleetResult {
  readonly requests: number;
  readonly admitted: number;
  /** Admitted over what one bucket without a network would have admitted of the same requests. */
  readonly admittedOverIdeal: number;
  /** The most that any key was admitted beyond C + r·T over any span, in tokens; below 0: never reached. */
  readonly overshoot: number;
  /** Refused while the store had leases of the key in its books, per request. */
  readonly strandedPerRequest: number;
  readonly commandsPerRequest: number;
}

const LOCAL_MAX_MS = 5000;
const SWEEP_MS = 50;
const STEP_MS = 5;

interface Key {
  readonly bucketId: string;
  readonly first: number;
  readonly bound: Gauge;
  readonly ideal: Gauge;
}

/** A bucket without a network: what it holds tells how far an admission exceeded it. */
interface Gauge {
  level: number;
  atMs: number;
}

/** Runs the real state machines of a fleet in virtual time. */
export async function runFleet(options: FleetOptions): Promise<FleetResult> {
  const world = createWorld(options);
  const { time, store, fleet } = world;
  const endMs = options.seconds * 1000;
  const every = (ms: number, work: () => void) => {
    const turn = () => {
      work();
      if (time.nowMs() + ms <= endMs) time.at(time.nowMs() + ms, turn);
    };
    time.at(0, turn);
  };
  let due = 0;
  every(STEP_MS, () => {
    for (due += (options.rate * STEP_MS) / 1000; due >= 1; due--) sendRequest(world, options);
  });
  every(SWEEP_MS, () => {
    for (const { pool } of fleet) void pool.sweep();
  });
  every(1000, () => {
    for (const instance of fleet) instance.beat();
    crashSome(world, options);
  });
  if (options.outage) {
    time.at(options.outage.from * 1000, () => store.setReachable(false));
    time.at(options.outage.to * 1000, () => store.setReachable(true));
  }
  if (options.lossAt !== undefined) time.at(options.lossAt * 1000, store.lose);
  await time.runUntil(endMs);
  return resultOf(world);
}

type World = ReturnType<typeof createWorld>;

function createWorld({ limit, instances, keys: size, seed }: FleetOptions) {
  const random = createRandom(seed);
  const time = createVirtualTime();
  const store = createSimulatedStore(time, { delayMs: () => 0.3 + random() * 0.7, localMaxMs: LOCAL_MAX_MS });
  let lives = 0;
  const start = (): SimulatedInstance =>
    createSimulatedInstance({
      store,
      time,
      instanceId: `i${lives++}`,
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
  { time, store, fleet, keys, pick, random, tally }: World,
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

function crashSome({ fleet, random, start }: World, { crashes = 0 }: FleetOptions): void {
  for (let left = crashes * fleet.length; left >= 1; left--) {
    fleet[Math.floor(random() * fleet.length)] = start();
  }
}

function resultOf({ tally, store }: World): FleetResult {
  return {
    requests: tally.requests,
    admitted: tally.admitted,
    admittedOverIdeal: tally.admitted / tally.ideal,
    overshoot: tally.overshoot,
    strandedPerRequest: tally.stranded / tally.requests,
    commandsPerRequest: store.commands() / tally.requests,
  };
}

/** Takes one token and says what is left; `whole`: takes none that is not there. */
function spend(gauge: Gauge, limit: RateLimit, nowMs: number, whole: boolean): number {
  const refilled = gauge.level + (limit.refillPerSecond * (nowMs - gauge.atMs)) / 1000;
  gauge.level = Math.min(limit.capacity, refilled) - 1;
  gauge.atMs = nowMs;
  const left = gauge.level;
  if (whole && left < 0) gauge.level++;
  return left;
}

/** Indexes whose frequency falls with their rank (Zipf, exponent 1). */
function zipf(size: number, random: () => number): () => number {
  const sums = new Float64Array(size);
  let sum = 0;
  for (let rank = 0; rank < size; rank++) {
    sum += 1 / (rank + 1);
    sums[rank] = sum;
  }
  return () => {
    const wanted = random() * sum;
    let [low, high] = [0, size - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? sum) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** The same numbers for the same seed (a linear congruential generator modulo 2^48, as POSIX drand48). */
function createRandom(seed: number): () => number {
  let state = (BigInt(seed) << 16n) + 0x330en;
  return () => {
    state = (state * 0x5deece66dn + 11n) & 0xffff_ffff_ffffn;
    return Number(state) / 2 ** 48;
  };
}
