import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { SpinTools } from "../../scripts/spin-binary.ts";
import { spinTools } from "../../scripts/spin-binary.ts";
import { leaseStep } from "../../src/core/limits/leased-bucket.ts";
import { endings } from "../support/feed.ts";
import type { Removal } from "../support/feed-replay.ts";
import { replayFeed } from "../support/feed-replay.ts";
import { withoutEpoch, withoutMerge, withoutSequence, withoutWriteBack } from "../support/feed-rules.ts";
import type { Sabotage } from "../support/lease-replay.ts";
import { replayLeases } from "../support/lease-replay.ts";
import type { Macros } from "../support/spin.ts";
import { searchModel } from "../support/spin.ts";

/** Set by `npm run test:long`: searches the larger state spaces, which take a few minutes and 2 GB. */
const WHOLE = process.env["MODEL_CHECKING"] === "whole";
const WHOLE_TIMEOUT_MS = 3_600_000;

let tools: SpinTools;
beforeAll(async () => {
  tools = await spinTools();
});

/** No fault. Each search sets the faults that it allows. */
const NO_LEASE_FAULTS: Macros = {
  LOSSES: 0,
  REPEATS: 0,
  CRASHES: 0,
  FAILOVERS: 0,
  FORWARD_STEPS: 0,
  BACKWARD_STEPS: 0,
};

const WHOLE_LEASE_SEARCHES: readonly Macros[] = [
  { LOSSES: 1, REPEATS: 1, CRASHES: 1, LAST_TICK: 3 },
  { FAILOVERS: 1, LAST_TICK: 3 },
  { FORWARD_STEPS: 1, BACKWARD_STEPS: 1, LAST_TICK: 4 },
  { LOSSES: 1, LAST_TICK: 4 },
];

async function holds(model: string, macros: Macros): Promise<void> {
  const { states, counterExample } = await searchModel(tools, model, macros);
  console.log(`${model} ${JSON.stringify(macros)}: ${states.toLocaleString("en")} states`);
  expect(counterExample).toBeUndefined();
  expect(states).toBeGreaterThan(10_000);
}

describe("leases: admitted ≤ C + r·T in every execution within the bounds", () => {
  test.each<[string, Macros]>([
    ["a request without a reply", { LOSSES: 1, LAST_TICK: 3 }],
    ["a request that is executed twice, and a crash", { REPEATS: 1, CRASHES: 1, LAST_TICK: 2 }],
    ["steps of Redis's clock", { FORWARD_STEPS: 1, BACKWARD_STEPS: 1, LAST_TICK: 2 }],
    ["a failover to a replica that lacks writes", { FAILOVERS: 1, LAST_TICK: 1 }],
  ])("%s", (_fault, macros) => holds("lease", { ...NO_LEASE_FAULTS, ...macros }));

  for (const macros of WHOLE ? WHOLE_LEASE_SEARCHES : [])
    test(
      `a larger search: ${JSON.stringify(macros)}`,
      () => holds("lease", { ...NO_LEASE_FAULTS, ...macros }),
      WHOLE_TIMEOUT_MS,
    );
});

/** Each condition of the protocol: the fault that it is for, and how the TypeScript code loses it. */
const LEASE_CONDITIONS: readonly [condition: string, faults: Macros, sabotage: Sabotage][] = [
  [
    "COUNTED_LEASES",
    {},
    {
      step(bucket, ...rest) {
        const leases = [...bucket.leases];
        bucket.leases.clear();
        const reply = leaseStep(bucket, ...rest);
        for (const [id, lease] of leases) bucket.leases.set(id, lease);
        return reply;
      },
    },
  ],
  [
    "BACKWARD_RULE",
    { BACKWARD_STEPS: 1 },
    {
      // The time between the two clock readings is credited, although the second one is earlier.
      step(bucket, limit, settlements, request, nowUs) {
        const backUs = Math.max(0, bucket.stampUs - nowUs);
        leaseStep(bucket, limit, settlements, undefined, nowUs);
        bucket.levelMicro += backUs * limit.refillPerSecond;
        return leaseStep(bucket, limit, [], request, nowUs);
      },
    },
  ],
  [
    "RELEASES_IN_ORDER",
    {},
    { settlements: (settlements) => settlements.map((ended) => ({ ...ended, spentAgoUs: 1e12 })) },
  ],
  [
    "EXPIRED_IS_SPENT",
    {},
    {
      beforeStep(bucket, nowUs) {
        for (const [id, { tokens, deadlineUs }] of bucket.leases) {
          if (deadlineUs > nowUs) continue;
          bucket.leases.delete(id);
          bucket.levelMicro += tokens * 1e6;
        }
      },
    },
  ],
  [
    "LEASE_IDS",
    {},
    {
      // The tokens of a settlement count, although the bucket does not know the lease.
      step(bucket, limit, settlements, request, nowUs) {
        const isOpen = (leaseId: string) => (bucket.leases.get(leaseId)?.deadlineUs ?? 0) > nowUs;
        const unknown = settlements.filter(({ leaseId }) => !isOpen(leaseId));
        const returned = unknown.reduce((sum, { unspentTokens }) => sum + unspentTokens, 0);
        const reply = leaseStep(bucket, limit, settlements, request, nowUs);
        return { ...reply, grantedTokens: reply.grantedTokens + returned };
      },
    },
  ],
  [
    "DEADLINE_FROM_SENDING",
    {},
    {
      afterReply({ leases }, nowMs) {
        leases.splice(0, leases.length, ...leases.map((lease) => ({ ...lease, deadlineMs: nowMs + 1000 })));
      },
    },
  ],
  [
    "DEADLINE_CHECK",
    {},
    {
      afterReply({ leases }) {
        leases.splice(
          0,
          leases.length,
          ...leases.map((lease) => ({ ...lease, deadlineMs: Number.POSITIVE_INFINITY })),
        );
      },
    },
  ],
];

describe("leases: without any one of the conditions, an execution breaks the promise", () => {
  test.each(LEASE_CONDITIONS)("%s", async (condition, faults, sabotage) => {
    const { counterExample } = await searchModel(
      tools,
      "lease",
      { ...NO_LEASE_FAULTS, ...faults },
      condition,
    );
    console.log(`without ${condition}: ${counterExample?.join(", ")}`);
    expect(counterExample).toBeDefined();
    // The code keeps the promise in this execution, and breaks it without the condition.
    expect(replayLeases(counterExample ?? [])).toMatchObject({ excess: 0 });
    expect(replayLeases(counterExample ?? [], sabotage).excess).toBeGreaterThan(0);
  });
});

const NO_FEED_FAULTS: Macros = { FLUSHES: 0, FAILOVERS: 0, CRASHES: 0, TRIMS: 0 };

const WHOLE_FEED_SEARCHES: readonly Macros[] = [
  { FLUSHES: 1, FAILOVERS: 1, TRIMS: 1 },
  { FLUSHES: 1, CRASHES: 1, TRIMS: 1 },
  { FAILOVERS: 1, CRASHES: 1 },
  { CHANGES: 4, FAILOVERS: 1 },
];

describe("the revocation feed: what a living instance knows is never lost, in every execution within the bounds", () => {
  test.each<[string, Macros]>([
    ["FLUSHALL and a trimmed stream", { FLUSHES: 1, TRIMS: 1 }],
    ["a failover to a replica that lacks writes", { FAILOVERS: 1 }],
    ["a crash and a trimmed stream", { CRASHES: 1, TRIMS: 1 }],
  ])("%s", (_fault, macros) => holds("revocation", { ...NO_FEED_FAULTS, ...macros }));

  for (const macros of WHOLE ? WHOLE_FEED_SEARCHES : [])
    test(
      `a larger search: ${JSON.stringify(macros)}`,
      () => holds("revocation", { ...NO_FEED_FAULTS, ...macros }),
      WHOLE_TIMEOUT_MS,
    );
});

describe("the revocation feed: without any one of the rules, an execution breaks the promise", () => {
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });

  test.each<[rule: string, faults: Macros, removal?: Removal]>([
    // The code cannot load a snapshot before the head, so no removal is replayed.
    ["HEAD_FIRST", {}],
    ["VERSIONS", {}],
    ["SEQUENCE", { TRIMS: 1 }, withoutSequence],
    ["MERGE", { FLUSHES: 1 }, withoutMerge],
    ["WRITE_BACK", { FLUSHES: 1 }, withoutWriteBack],
    ["EPOCH", { FLUSHES: 1 }, withoutEpoch],
    ["CLOCK_VERSIONS", { FAILOVERS: 1 }, { versionsWithoutClock: true }],
  ])("%s", async (rule, faults, removal) => {
    const { counterExample = [] } = await searchModel(
      tools,
      "revocation",
      { ...NO_FEED_FAULTS, ...faults },
      rule,
    );
    console.log(`without ${rule}: ${counterExample.join(", ")}`);
    expect(counterExample).not.toEqual([]);
    const { states, expected } = await replayFeed(counterExample);
    expect(states).toEqual([expected, expected, expected]);
    if (removal === undefined) return;
    const broken = await replayFeed(counterExample, removal);
    expect(broken.states).not.toEqual([expected, expected, expected]);
  });
});
