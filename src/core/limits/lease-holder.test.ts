import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { recordDemand, shouldPrefetch } from "./lease-demand.ts";
import type { LeaseHolder, LeaseLimit } from "./lease-holder.ts";
import {
  availableTokens,
  createLeaseHolder,
  emptyForMs,
  returnIdleLeases,
  spendTokens,
} from "./lease-holder.ts";
import {
  beginLeaseRequest,
  completeLeaseRequest,
  failLeaseRequest,
  requeueSettlements,
  settlementOf,
  takeSettlements,
} from "./lease-request.ts";
import type { LeasedBucket, LeaseRequest, Settlement } from "./leased-bucket.ts";
import { fullLeasedBucket, leaseStep } from "./leased-bucket.ts";
import { MICRO } from "./token-bucket.ts";

/** A fleet in virtual time: real state machines, a store with its own clock, and a network that delays, loses and repeats messages. */
interface Fleet {
  readonly limit: LeaseLimit;
  readonly admitted: { readonly atMs: number; readonly cost: number }[];
  /** The sum of all forward jumps of the store's clock. */
  jumpedMs: number;
  /** Granted tokens that the store has lost, at most one capacity for each loss. */
  lostTokens: number;
}

type Event =
  | { readonly kind: "request"; readonly instance: number; readonly cost: number }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "sweep"; readonly instance: number }
  | { readonly kind: "crash"; readonly instance: number }
  | { readonly kind: "pause"; readonly instance: number; readonly ms: number }
  | { readonly kind: "clock"; readonly ms: number }
  /** The store loses the writes of the last moves, as when a lagging replica is promoted. */
  | { readonly kind: "failover"; readonly moves: number }
  | { readonly kind: "flush" };

/** How the network delivers a message. */
interface Fate {
  readonly kind:
    | "delivered"
    | "request lost"
    | "response lost"
    | "repeated after its response"
    | "delivered when repeated";
  readonly requestMs: number;
  readonly responseMs: number;
}

interface Message {
  readonly instance: number;
  /** The instance's life in which it was sent: a restarted instance gets no old responses. */
  readonly life: number;
  readonly settlements: readonly Settlement[];
  readonly request: LeaseRequest | undefined;
  readonly arrivesMs: number;
  readonly fate: Fate;
}

const INSTANCES = 3;

/** Rules that a run leaves out, to show that each is necessary. */
interface OmittedRules {
  readonly clamp?: true;
  readonly ids?: true;
  readonly deadline?: true;
  readonly once?: true;
  readonly spentWhen?: true;
}

/** A patient instance has no timeout, which must be safe as well. */
const COMMAND_TIMEOUT_MS = 50;
const IMMEDIATE: Fate = { kind: "delivered", requestMs: 0, responseMs: 0 };

function runFleet(
  limit: LeaseLimit,
  events: readonly Event[],
  fates: readonly Fate[],
  { omitted = {}, patient = false }: { readonly omitted?: OmittedRules; readonly patient?: boolean } = {},
): Fleet {
  const fleet: Fleet = { limit, admitted: [], jumpedMs: 0, lostTokens: 0 };
  let nowMs = 1000;
  let clockMs = 0;
  let counter = 0;
  let messages: Message[] = [];
  let responses: {
    readonly message: Message;
    readonly reply: ReturnType<typeof leaseStep>;
    readonly arrivesMs: number;
  }[] = [];
  let bucket: LeasedBucket = fullLeasedBucket(limit, nowMs * 1000);
  let grantedTokens = 0;
  const past: { readonly bucket: LeasedBucket; readonly grantedTokens: number }[] = [];
  const holders: LeaseHolder[] = Array.from({ length: INSTANCES }, () => createLeaseHolder(limit, nowMs));
  const lives = holders.map(() => 0);
  const queues: number[][] = holders.map(() => []);
  const pausedUntil = holders.map(() => 0);
  const storeUs = () => (nowMs + clockMs) * 1000;

  const send = (instance: number, settlements: readonly Settlement[], request: LeaseRequest | undefined) => {
    const fate = fates[counter % Math.max(1, fates.length)] ?? IMMEDIATE;
    const arrivesMs = nowMs + fate.requestMs;
    messages.push({ instance, life: lives[instance] ?? 0, settlements, request, arrivesMs, fate });
  };
  const holderOf = (instance: number) => holders[instance] ?? createLeaseHolder(limit, nowMs);
  const requestTokens = (instance: number, cost: number) => {
    const { settlements, request } = beginLeaseRequest(
      holderOf(instance),
      cost,
      `${instance}.${lives[instance]}.${counter++}`,
      nowMs,
    );
    send(instance, settlements, request);
  };
  /** Like lease-pool.ts: a request that lacks tokens waits for the pending lease request, then tries again. */
  const attempt = (instance: number, cost: number) => {
    const holder = holderOf(instance);
    if (availableTokens(holder, nowMs) >= cost) {
      spendTokens(holder, cost, nowMs);
      fleet.admitted.push({ atMs: nowMs, cost });
      if (shouldPrefetch(holder, cost, nowMs)) requestTokens(instance, cost);
    } else if (emptyForMs(holder, cost, nowMs) === 0) {
      holder.waiting += cost;
      queues[instance]?.push(cost);
      if (holder.inFlight === undefined) requestTokens(instance, cost);
    }
  };
  const request = (instance: number, cost: number) => {
    recordDemand(holderOf(instance), cost, nowMs);
    attempt(instance, cost);
  };
  const wake = (instance: number, hasResponse: boolean) => {
    for (const cost of queues[instance]?.splice(0) ?? []) {
      holderOf(instance).waiting -= cost;
      if (hasResponse) attempt(instance, cost);
    }
  };
  const stepWithoutRules = ({ request, ...message }: Message) => {
    // Omitted rule: the refill that a settlement allows starts at the time of the spending. Here it starts at the last step.
    const settlements = omitted.spentWhen
      ? message.settlements.map((settled) => ({ ...settled, spentAgoUs: Number.MAX_SAFE_INTEGER }))
      : message.settlements;
    // Omitted rule: a settlement names its lease. Here it is added each time it arrives.
    if (omitted.ids) for (const { unspentTokens } of settlements) bucket.levelMicro += unspentTokens * MICRO;
    // Omitted rule: a repeated request grants nothing. Here it grants a second lease that replaces the first.
    if (omitted.once && request !== undefined) bucket.leases.delete(request.leaseId);
    if (!omitted.clamp) return leaseStep(bucket, limit, settlements, request, storeUs());
    // Omitted rule: outstanding leases limit the refill.
    const outstanding = new Map(bucket.leases);
    bucket.leases.clear();
    for (const { leaseId, unspentTokens } of settlements) {
      if (outstanding.delete(leaseId)) bucket.levelMicro += unspentTokens * MICRO;
    }
    const reply = leaseStep(bucket, limit, [], request, storeUs());
    for (const [id, lease] of outstanding) bucket.leases.set(id, lease);
    return reply;
  };
  const store = (message: Message) => {
    const { kind, responseMs } = message.fate;
    if (kind === "request lost") return;
    const reply = stepWithoutRules(message);
    grantedTokens += reply.grantedTokens;
    if (kind === "delivered" || kind === "repeated after its response")
      responses.push({ message, reply, arrivesMs: nowMs + responseMs });
    const repetition = { ...message, arrivesMs: nowMs + 1 + responseMs };
    if (kind === "repeated after its response")
      messages.push({ ...repetition, fate: { ...message.fate, kind: "response lost" } });
    if (kind === "delivered when repeated")
      messages.push({ ...repetition, fate: { ...message.fate, kind: "delivered" } });
  };
  const deliver = () => {
    const due = messages.filter(({ arrivesMs }) => arrivesMs <= nowMs);
    messages = messages.filter(({ arrivesMs }) => arrivesMs > nowMs);
    due.forEach(store);
    const ready = responses.filter(
      ({ message, arrivesMs }) => arrivesMs <= nowMs && (pausedUntil[message.instance] ?? 0) <= nowMs,
    );
    responses = responses.filter((response) => !ready.includes(response));
    for (const { message, reply } of ready) {
      const holder = holderOf(message.instance);
      if (message.life !== lives[message.instance] || message.request === undefined) continue;
      if (holder.inFlight?.leaseId !== message.request.leaseId) continue;
      // Omitted rule: the deadline counts from the sending of the request. Here it counts from the response.
      if (omitted.deadline) holder.inFlight = { ...holder.inFlight, sentMs: nowMs };
      completeLeaseRequest(holder, reply, nowMs);
      wake(message.instance, true);
    }
    if (patient) return;
    for (const [at, holder] of holders.entries()) {
      if (!holder.inFlight || nowMs - holder.inFlight.sentMs <= COMMAND_TIMEOUT_MS) continue;
      failLeaseRequest(holder);
      wake(at, false);
    }
  };
  const goBack = (to: { readonly bucket: LeasedBucket; readonly grantedTokens: number }) => {
    fleet.lostTokens += Math.min(limit.capacity, grantedTokens - to.grantedTokens);
    bucket = copyOf(to.bucket);
  };
  const sweep = (instance: number) => {
    const holder = holderOf(instance);
    if (!returnIdleLeases(holder, nowMs)) return;
    const ended = takeSettlements(holder);
    send(
      instance,
      ended.map((lease) => settlementOf(lease, nowMs)),
      undefined,
    );
    counter++;
    // The settlements may or may not arrive, so they are sent again, which must be idempotent.
    requeueSettlements(holder, ended);
  };
  for (const event of events) {
    past.push({ bucket: copyOf(bucket), grantedTokens });
    if (event.kind === "failover") {
      const to = past.at(-event.moves) ?? past[0];
      if (to !== undefined) goBack(to);
    } else if (event.kind === "flush") {
      // All earlier grants may be granted again.
      fleet.lostTokens += limit.capacity;
      bucket = fullLeasedBucket(limit, storeUs());
    } else if (event.kind === "wait") {
      for (let ms = 0; ms < event.ms; ms++) {
        nowMs++;
        deliver();
      }
    } else if (event.kind === "clock") {
      clockMs += event.ms;
      if (event.ms > 0) fleet.jumpedMs += event.ms;
    } else if ((pausedUntil[event.instance] ?? 0) > nowMs) {
    } else if (event.kind === "request") {
      request(event.instance, event.cost);
      deliver();
    } else if (event.kind === "sweep") {
      sweep(event.instance);
    } else if (event.kind === "pause") {
      pausedUntil[event.instance] = nowMs + event.ms;
    } else {
      holders[event.instance] = createLeaseHolder(limit, nowMs);
      queues[event.instance] = [];
      lives[event.instance] = (lives[event.instance] ?? 0) + 1;
    }
  }
  return fleet;
}

function copyOf({ levelMicro, stampUs, leases }: LeasedBucket): LeasedBucket {
  return { levelMicro, stampUs, leases: new Map(leases) };
}

/** The largest excess over C + r·T, losses and clock steps, over every span that begins and ends with an admission. */
function overshoot({ limit, admitted, jumpedMs, lostTokens }: Fleet): number {
  let worst = Number.NEGATIVE_INFINITY;
  const jumped = Math.min(limit.capacity, (limit.refillPerSecond * jumpedMs) / 1000);
  for (let first = 0; first < admitted.length; first++) {
    let sum = 0;
    for (const { atMs, cost } of admitted.slice(first)) {
      sum += cost;
      const span = (atMs - (admitted[first]?.atMs ?? 0)) / 1000;
      worst = Math.max(worst, sum - (limit.capacity + limit.refillPerSecond * span) - jumped - lostTokens);
    }
  }
  return worst;
}

const instance = fc.nat({ max: INSTANCES - 1 });
const events = [
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("request" as const),
      instance,
      cost: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      ms: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 100, max: 1300 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("sweep" as const), instance }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const), instance }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("pause" as const),
      instance,
      ms: fc.integer({ min: 1, max: 1500 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("clock" as const), ms: fc.integer({ min: -2000, max: 2000 }) }),
  },
];
const losses = [
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("failover" as const), moves: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("flush" as const) }) },
];
const delayArbitrary = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 7 }) },
  { weight: 1, arbitrary: fc.integer({ min: 40, max: 2000 }) },
);
const fateArbitrary = fc.array(
  fc.record({
    kind: fc.oneof(
      { weight: 6, arbitrary: fc.constant("delivered" as const) },
      {
        weight: 4,
        arbitrary: fc.constantFrom(
          "request lost" as const,
          "response lost" as const,
          "repeated after its response" as const,
          "delivered when repeated" as const,
        ),
      },
    ),
    requestMs: delayArbitrary,
    responseMs: delayArbitrary,
  }),
  { minLength: 1, maxLength: 12 },
);
const limitArbitrary = fc.record({
  capacity: fc.integer({ min: 3, max: 60 }),
  refillPerSecond: fc.constantFrom(0.01, 1, 7, 50),
  leased: fc.boolean(),
});
function historiesOf(...more: typeof losses) {
  return fc.tuple(
    limitArbitrary,
    fc.array(fc.oneof(...events, ...more), { minLength: 20, maxLength: 150 }),
    fateArbitrary,
    fc.boolean(),
  );
}

/** Leases are held for a long time and the bucket is nearly empty, so a missing rule shows soon. */
const hardHistories = fc.tuple(
  fc.record({
    capacity: fc.integer({ min: 20, max: 40 }),
    refillPerSecond: fc.constantFrom(0.01, 20, 100),
    leased: fc.constant(true),
  }),
  fc
    .array(
      fc.oneof(
        {
          weight: 6,
          arbitrary: fc
            .tuple(instance, fc.integer({ min: 1, max: 40 }))
            .map(([at, times]): Event[] =>
              Array.from({ length: times }, () => ({ kind: "request", instance: at, cost: 1 })),
            ),
        },
        {
          weight: 6,
          arbitrary: fc.constantFrom(2, 8, 15, 240, 700, 1100).map((ms): Event[] => [{ kind: "wait", ms }]),
        },
        { weight: 2, arbitrary: instance.map((at): Event[] => [{ kind: "sweep", instance: at }]) },
      ),
      { minLength: 10, maxLength: 60 },
    )
    .map((parts) => parts.flat()),
);
const delivered: Fate = { kind: "delivered", requestMs: 0, responseMs: 1 };
const repeated: Fate = { kind: "repeated after its response", requestMs: 0, responseMs: 5 };
const deliveredLate: Fate = { kind: "delivered", requestMs: 0, responseMs: 700 };

describe("leases never admit too much", () => {
  test("over every span and any interleaving, crash, pause, lost or repeated message and clock step: admitted ≤ C + r·T", () => {
    fc.assert(
      fc.property(
        historiesOf(),
        ([limit, moves, fates, patient]) => overshoot(runFleet(limit, moves, fates, { patient })) <= 1e-6,
      ),
      { numRuns: 300 },
    );
  });

  test("each loss of writes in the store admits at most what it had granted since, and at most one C", () => {
    fc.assert(
      fc.property(
        historiesOf(...losses),
        ([limit, moves, fates, patient]) => overshoot(runFleet(limit, moves, fates, { patient })) <= 1e-6,
      ),
      { numRuns: 300 },
    );
  });

  const rules: readonly (readonly [rule: string, omitted: OmittedRules, fates: readonly Fate[]])[] = [
    ["refill stops at capacity − outstanding", { clamp: true }, [delivered]],
    ["the refill that a spent token allows starts when it was spent", { spentWhen: true }, [delivered]],
    ["a settlement names its lease, so that one executed twice counts once", { ids: true }, [delivered]],
    [
      "a request names its lease, so that one executed twice grants once",
      { once: true },
      [delivered, repeated],
    ],
    [
      "the deadline counts from the sending of the request",
      { deadline: true },
      [delivered, delivered, deliveredLate],
    ],
  ];
  describe.each(rules)("the rule “%s”", (_rule, omitted, fates) => {
    const holds = (rules: OmittedRules) =>
      fc.property(
        hardHistories,
        ([limit, moves]) =>
          overshoot(runFleet(limit, moves, fates, { omitted: rules, patient: true })) <= 1e-6,
      );

    test("if it is omitted, the search finds an overshoot", () => {
      expect(fc.check(holds(omitted), { numRuns: 20_000, seed: 1, endOnFailure: true }).failed).toBe(true);
    });

    test("if it is kept, the search finds none", () => {
      fc.assert(holds({}), { numRuns: 200 });
    });
  });
});
