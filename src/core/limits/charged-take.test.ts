import { expect, test } from "vitest";
import { quotaDemand } from "../../../test/support/quota-demand.ts";
import { takeCharged } from "./charged-take.ts";
import type { TakeOutcome } from "./ports.ts";

const NOW_MS = 1000;
const rate = (name: string) => ({ name, capacity: 1, windowSeconds: 1, remaining: 1 });
const admitted = (name: string): TakeOutcome => ({ ok: true, rates: [rate(name)] });
const denied: TakeOutcome = { ok: false, reason: "quota_exceeded", retryAfterSeconds: 5, rates: [rate("q")] };
const [requests, reserved] = [quotaDemand(), quotaDemand({ name: "reserved", unit: "tokens" })];
const looked = [quotaDemand({ name: "looked", unit: "tokens" })];

/** Takes for a route of cost 3 that reserves 7, and what was called. */
function take(more: {
  look?: TakeOutcome;
  taken?: TakeOutcome;
  looksAt?: typeof looked;
  isServed?: boolean;
  reserves?: boolean;
}) {
  const calls: unknown[] = [];
  const { look = admitted("looked"), taken = admitted("taken"), looksAt = looked } = more;
  const { isServed = true, reserves = true } = more;
  const outcome = takeCharged(
    {
      buckets: {
        take(...call) {
          calls.push(["take", ...call]);
          return taken;
        },
      },
      ...(isServed && {
        charged: {
          look(...call) {
            calls.push(["look", ...call]);
            return look;
          },
        },
      }),
    },
    { cost: 3, ...(reserves && { reserve: { unit: "tokens", amount: 7 } }) },
    { buckets: [], quotas: [requests], chargesOf: undefined },
    {
      looked: looksAt,
      reserving: reserves ? [reserved] : [],
      grant: { mode: "enforce", route: "/a", units: ["tokens"] },
    },
    NOW_MS,
  );
  return { outcome, calls };
}

const taking = ["take", [], 3, NOW_MS, [requests, reserved], 7];

test("the quotas that are charged later are looked at before anything is taken", () => {
  expect(take({})).toEqual({
    outcome: { ok: true, rates: [rate("taken"), rate("looked")] },
    calls: [["look", looked, NOW_MS], taking],
  });
});

test("a route that reserves nothing takes the cost of the request only", () => {
  const costing = ["take", [], 3, NOW_MS, [requests], undefined];
  expect(take({ reserves: false }).calls).toEqual([["look", looked, NOW_MS], costing]);
});

test("a look that denies takes nothing", () => {
  expect(take({ look: denied })).toEqual({ outcome: denied, calls: [["look", looked, NOW_MS]] });
});

test("a take that denies has the rates of the look too", () => {
  expect(take({ taken: denied }).outcome).toEqual({ ...denied, rates: [rate("q"), rate("looked")] });
});

test("without quotas to look at, the route takes at once", () => {
  expect(take({ looksAt: [], isServed: false })).toEqual({ outcome: admitted("taken"), calls: [taking] });
});

test("without counters a quota cannot be looked at, and nothing is taken", () => {
  const unavailable = { ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] };
  expect(take({ isServed: false })).toEqual({ outcome: unavailable, calls: [] });
});
