import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createLeasePool } from "../limits/lease-pool.ts";
import type { Quota } from "../policy/policy.ts";
import { createCalendars, HOUR_MS } from "./calendar.ts";
import { newCounter, quotaStep } from "./quota-counter.ts";
import { quotaDemands } from "./quota-demand.ts";
import { createQuotaExchange } from "./quota-exchange.ts";
import type { QuotaStep } from "./quota-step.ts";
import type { QuotaStore } from "./quota-store.ts";

/** So large that leases are taken ahead: at most three units. */
const LIMIT = 300;
/** The histories begin 2.5 s before a window ends. */
const BEGIN_MS = 500_000 * HOUR_MS - 2500;

/** How a message to the store ends. A late one is executed after its sender has given up. */
type Fate = "answered" | "lost" | "reply lost" | "late";

interface Message {
  readonly execute: () => void;
  readonly end: (fate: Fate) => void;
}

/** Real time, the store and the network. A test delivers each message. */
function createWorld(fault: "count" | "deny") {
  let realMs = 0;
  let storeAheadMs = 0;
  let delays: { readonly atMs: number; readonly resolve: () => void }[] = [];
  const counter = newCounter();
  const windows = new Set<number>();
  const expired = new Map<number, number>();
  const messages: Message[] = [];
  const delayed: (() => void)[] = [];
  const admitted = new Map<number, number>();
  let counted = 0;
  const storeMs = () => BEGIN_MS + realMs + storeAheadMs;
  const store: QuotaStore = {
    step(_counterId, step: QuotaStep) {
      const { promise, resolve, reject } = Promise.withResolvers<ReturnType<typeof quotaStep>>();
      let reply: ReturnType<typeof quotaStep> | undefined;
      const execute = () => {
        reply = quotaStep(counter, step, storeMs() * 1000);
        windows.add(counter.windowMs);
        add(expired, counter.windowMs, reply.expiredUnits);
      };
      const end = (fate: Fate) => {
        if (fate === "answered" && reply !== undefined) resolve(reply);
        else reject(new Error(fate));
      };
      messages.push({ execute, end });
      return promise;
    },
  };
  return {
    counter,
    windows,
    admitted,
    expired,
    counted: () => counted,
    total: () => [...admitted.values()].reduce((sum, units) => sum + units, 0),
    storeMs,
    pending: () => messages.length,
    deliver(at: number, fate: Fate) {
      const [message] = messages.splice(at % Math.max(1, messages.length), 1);
      if (message === undefined) return;
      if (fate === "answered" || fate === "reply lost") message.execute();
      if (fate === "late") delayed.push(message.execute);
      message.end(fate);
    },
    deliverLate() {
      for (const execute of delayed.splice(0)) execute();
    },
    advance(ms: number) {
      realMs += ms;
      const due = delays.filter(({ atMs }) => atMs <= realMs);
      delays = delays.filter(({ atMs }) => atMs > realMs);
      for (const { resolve } of due) resolve();
    },
    stepClock(ms: number) {
      storeAheadMs += ms;
    },
    admit(units: number) {
      add(admitted, Math.floor(storeMs() / HOUR_MS) * HOUR_MS, units);
    },
    ports: {
      store,
      storeNowMs: storeMs,
      monotonicMs: () => realMs,
      fault: () => fault,
      delayMs(ms: number) {
        const { promise, resolve } = Promise.withResolvers<void>();
        delays.push({ atMs: realMs + ms, resolve });
        return promise;
      },
      observe(event: string, units: number) {
        if (event === "counted") counted += units;
      },
    },
  };
}

function add(units: Map<number, number>, windowMs: number, more: number): void {
  units.set(windowMs, (units.get(windowMs) ?? 0) + more);
}

type World = ReturnType<typeof createWorld>;

const QUOTA: Quota = {
  name: "q",
  per: "key",
  limit: LIMIT,
  every: "hour",
  timeZone: "UTC",
  unit: "requests",
};

function startInstance({ ports, admit }: World, instanceId: string) {
  const exchange = createQuotaExchange({ ...ports, instanceId });
  const pool = createLeasePool({
    quotas: exchange,
    store: { step: () => Promise.reject(new Error("no buckets")) },
    fallback: { take: () => ({ ok: true, rates: [] }) },
    monotonicMs: ports.monotonicMs,
    instanceId,
    maxBuckets: 10,
  });
  const calendars = createCalendars();
  const demands = quotaDemands([QUOTA], { family: "x", role: "basic" }, calendars);
  let isAlive = true;
  return {
    crash() {
      isAlive = false;
    },
    sweep: () => void pool.sweep(),
    post: () => void exchange.post().catch(() => undefined),
    waiting: exchange.waiting,
    async take(cost: number) {
      const outcome = await pool.take([], cost, ports.storeNowMs(), demands);
      if (outcome.ok && isAlive) admit(cost);
    },
  };
}

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
}

const instance = fc.nat({ max: 2 });
const take = fc.record({
  kind: fc.constant("take" as const),
  instance,
  cost: fc.integer({ min: 1, max: 4 }),
  times: fc.integer({ min: 1, max: 12 }),
});
/** Uses up what is left, over a network without faults. */
const drain = fc.record({ kind: fc.constant("drain" as const), instance });
const deliver = fc.record({
  kind: fc.constant("deliver" as const),
  at: fc.nat({ max: 5 }),
  fate: fc.constantFrom<Fate[]>("answered", "answered", "answered", "lost", "reply lost", "late"),
});
const advance = fc.record({
  kind: fc.constant("advance" as const),
  ms: fc.constantFrom(1, 5, 12, 60, 150, 400, 900, 1000, HOUR_MS - 2000),
});
const other = fc.record({
  kind: fc.constantFrom("sweep" as const, "crash" as const, "post" as const, "late" as const),
  instance,
});
const clock = fc.record({
  kind: fc.constant("clock" as const),
  ms: fc.constantFrom(-HOUR_MS, -3000, -400, 400, 3000, HOUR_MS),
});
const steady = fc.array(fc.oneof(take, drain, deliver, deliver, advance, other), {
  minLength: 5,
  maxLength: 80,
});
const jumping = fc.array(fc.oneof(take, drain, deliver, deliver, advance, other, clock), {
  minLength: 5,
  maxLength: 80,
});

type Command = typeof jumping extends fc.Arbitrary<readonly (infer T)[]> ? T : never;

async function deliverAll(world: World): Promise<void> {
  await settle();
  while (world.pending() > 0) {
    world.deliver(0, "answered");
    await settle();
  }
}

async function drainAll(world: World, { take }: ReturnType<typeof startInstance>): Promise<void> {
  for (const cost of [100, 100, 50, 20, 20, 5, 5, 5, 1, 1, 1, 1]) {
    void take(cost);
    await deliverAll(world);
  }
}

/** Runs a history, then lets every message through until nothing waits. */
async function run(commands: readonly Command[], fault: "count" | "deny"): Promise<World> {
  const world = createWorld(fault);
  let started = 3;
  const fleet = [0, 1, 2].map((index) => startInstance(world, `i${index}`));
  const at = (index: number) => fleet[index] ?? expect.fail("three instances");
  for (const command of commands) {
    if (command.kind === "take")
      for (let sent = 0; sent < command.times; sent++) void at(command.instance).take(command.cost);
    else if (command.kind === "drain") await drainAll(world, at(command.instance));
    else if (command.kind === "deliver") world.deliver(command.at, command.fate);
    else if (command.kind === "advance") world.advance(command.ms);
    else if (command.kind === "clock") world.stepClock(command.ms);
    else if (command.kind === "late") world.deliverLate();
    else if (command.kind === "crash") {
      at(command.instance).crash();
      fleet[command.instance] = startInstance(world, `i${started++}`);
    } else at(command.instance)[command.kind]();
    await settle();
  }
  world.deliverLate();
  await deliverAll(world);
  for (const one of fleet) one.post();
  await deliverAll(world);
  return world;
}

describe("for every interleaving of takes, leases, returns, crashes, lost and late messages and window ends", () => {
  test("at most the limit is admitted in each window", async () => {
    await fc.assert(
      fc.asyncProperty(steady, async (commands) => {
        const { admitted } = await run(commands, "deny");
        for (const [windowMs, units] of admitted)
          expect([windowMs, units <= LIMIT]).toEqual([windowMs, true]);
      }),
      { numRuns: 250 },
    );
  });

  test("steps of the store's clock start no window twice, and each window admits at most the limit", async () => {
    await fc.assert(
      fc.asyncProperty(jumping, async (commands) => {
        const { total, windows } = await run(commands, "deny");
        expect(total()).toBeLessThanOrEqual(LIMIT * windows.size);
      }),
      { numRuns: 250 },
    );
  });

  test("without the store, what is admitted is counted once", async () => {
    await fc.assert(
      fc.asyncProperty(steady, async (commands) => {
        const world = await run(commands, "count");
        expect(world.total()).toBeLessThanOrEqual(LIMIT * (world.windows.size + 1) + world.counted());
        const { windowMs, used, leases } = world.counter;
        const leased = [...leases.values()].reduce((sum, { units }) => sum + units, 0);
        // A crash loses what its instance has not posted. Such histories show nothing here.
        if (commands.some(({ kind }) => kind === "crash")) return;
        const admitted = world.admitted.get(windowMs) ?? 0;
        expect(used + leased).toBeGreaterThanOrEqual(admitted);
        expect(used).toBeLessThanOrEqual(admitted + (world.expired.get(windowMs) ?? 0));
      }),
      { numRuns: 250 },
    );
  });
});
