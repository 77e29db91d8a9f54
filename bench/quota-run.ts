import { createLeasePool } from "../src/core/limits/lease-pool.ts";
import type { Quota } from "../src/core/policy/policy.ts";
import { createCalendars, HOUR_MS } from "../src/core/quotas/calendar.ts";
import type { QuotaCounter } from "../src/core/quotas/quota-counter.ts";
import { newCounter, quotaStep } from "../src/core/quotas/quota-counter.ts";
import { quotaDemands } from "../src/core/quotas/quota-demand.ts";
import { createQuotaExchange } from "../src/core/quotas/quota-exchange.ts";
import type { QuotaReply } from "../src/core/quotas/quota-step.ts";
import type { QuotaStore } from "../src/core/quotas/quota-store.ts";
import { crashSome, runLoad } from "./fleet-load.ts";
import type { VirtualTime } from "./virtual-time.ts";
import { createVirtualTime } from "./virtual-time.ts";

export interface QuotaRunOptions {
  readonly instances: number;
  readonly subjects: number;
  /** Virtual seconds. A window ends in the middle. */
  readonly seconds: number;
  /** Requests per second of the whole fleet, the same for each subject. */
  readonly rate: number;
  /** Units per window and subject. */
  readonly limit: number;
  /** Share of instances that crash and restart in each second. */
  readonly crashes?: number;
  /** Virtual seconds between which the store does not respond. */
  readonly outage?: { readonly from: number; readonly to: number };
  readonly random: () => number;
}

export interface QuotaRunResult {
  readonly requests: number;
  readonly admitted: number;
  /** The largest excess of any subject over its limit in any window, in units; 0 or below: never exceeded. */
  readonly overshoot: number;
  /** Admitted units, divided by those that one counter without a network would have admitted. */
  readonly ofIdeal: number;
  /** Units of leases that expired, per admitted unit. */
  readonly expiredPerUnit: number;
  readonly commandsPerRequest: number;
}

const COMMAND_TIMEOUT_MS = 50;

/** Runs the leases of quotas of a fleet in virtual time, with the code that serves. */
export async function runQuotas(options: QuotaRunOptions): Promise<QuotaRunResult> {
  const simulation = createSimulation(options);
  const { time, fleet, store } = simulation;
  await runLoad(time, {
    ...options,
    setReachable: store.setReachable,
    onRequest: () => send(simulation, options),
    onSweep() {
      for (const { pool } of fleet) void pool.sweep();
    },
    onSecond() {
      for (const { post } of fleet) void post().catch(() => undefined);
      crashSome(fleet, { ...simulation, crashes: options.crashes });
    },
  });
  return resultOf(simulation, options);
}

type Simulation = ReturnType<typeof createSimulation>;

function createSimulation({ instances, subjects, seconds, limit, random }: QuotaRunOptions) {
  const time = createVirtualTime();
  const beginMs = 500_000 * HOUR_MS - (seconds * 1000) / 2;
  const storeNowMs = () => Math.floor(beginMs + time.nowMs());
  const store = createStore(time, storeNowMs, () => 0.3 + random() * 0.7);
  const calendars = createCalendars();
  const quota: Quota = { name: "q", per: "key", limit, every: "hour", timeZone: "UTC", unit: "requests" };
  const demands = Array.from({ length: subjects }, (_, at) =>
    quotaDemands([quota], { family: `f${at}`, role: "r" }, calendars),
  );
  const tally = {
    requests: 0,
    expired: 0,
    admitted: new Map<string, number>(),
    wanted: new Map<string, number>(),
  };
  let starts = 0;
  const start = () => {
    const instanceId = `i${starts++}`;
    const exchange = createQuotaExchange({
      store,
      storeNowMs,
      monotonicMs: time.nowMs,
      instanceId,
      fault: () => "count",
      delayMs: (ms) => new Promise((resolve) => time.at(time.nowMs() + ms, resolve)),
      observe(event, units) {
        if (event === "expired") tally.expired += units;
      },
    });
    const pool = createLeasePool({
      quotas: exchange,
      store: { step: () => Promise.reject(new Error("no buckets")) },
      fallback: { take: () => ({ ok: true, rates: [] }) },
      monotonicMs: time.nowMs,
      instanceId,
      maxBuckets: subjects,
    });
    return { pool, post: exchange.post };
  };
  const fleet = Array.from({ length: instances }, start);
  return { time, storeNowMs, store, start, fleet, demands, random, tally };
}

function send(
  { fleet, demands, storeNowMs, random, tally }: Simulation,
  { subjects }: QuotaRunOptions,
): void {
  const subject = Math.floor(random() * subjects);
  const instance = fleet[Math.floor(random() * fleet.length)];
  const quotas = demands[subject];
  if (instance === undefined || quotas === undefined) return;
  tally.requests++;
  const window = () => `${subject} ${Math.floor(storeNowMs() / HOUR_MS)}`;
  const count = (units: Map<string, number>) => units.set(window(), (units.get(window()) ?? 0) + 1);
  count(tally.wanted);
  const outcome = instance.pool.take([], 1, storeNowMs(), quotas);
  const settle = (ok: boolean) => ok && count(tally.admitted);
  if (outcome instanceof Promise) void outcome.then(({ ok }) => settle(ok));
  else settle(outcome.ok);
}

function resultOf({ tally, store }: Simulation, { limit }: QuotaRunOptions): QuotaRunResult {
  const sum = (units: Iterable<number>) => [...units].reduce((total, one) => total + one, 0);
  const admitted = sum(tally.admitted.values());
  return {
    requests: tally.requests,
    admitted,
    overshoot: Math.max(...[...tally.admitted.values()].map((units) => units - limit)),
    ofIdeal: admitted / sum([...tally.wanted.values()].map((units) => Math.min(units, limit))),
    expiredPerUnit: tally.expired / admitted,
    commandsPerRequest: store.commands() / tally.requests,
  };
}

function createStore(time: VirtualTime, storeNowMs: () => number, delayMs: () => number) {
  const counters = new Map<string, QuotaCounter>();
  let reachable = true;
  let commands = 0;
  const store: QuotaStore = {
    step(counterId, step) {
      const { promise, resolve, reject } = Promise.withResolvers<QuotaReply>();
      const sentMs = time.nowMs();
      commands++;
      time.at(sentMs + delayMs(), () => {
        if (!reachable)
          return time.at(sentMs + COMMAND_TIMEOUT_MS, () => reject(new Error("the store does not respond")));
        const counter = counters.get(counterId) ?? newCounter();
        counters.set(counterId, counter);
        const reply = quotaStep(counter, step, storeNowMs() * 1000);
        time.at(time.nowMs() + delayMs(), () => resolve(reply));
      });
      return promise;
    },
  };
  return {
    ...store,
    commands: () => commands,
    setReachable(next: boolean) {
      reachable = next;
    },
  };
}
