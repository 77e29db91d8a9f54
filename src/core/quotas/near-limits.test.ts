import { expect, test } from "vitest";
import type { QuotaCount } from "../policy/policy.ts";
import { nearLimitsRun } from "./near-limits.ts";
import type { CounterUse } from "./quota-counter.ts";

const NOW_MS = Date.UTC(2026, 10, 12, 10);
const DAY_MS = Date.UTC(2026, 10, 12);

const daily: QuotaCount = { per: "key", every: "day", timeZone: "UTC", unit: "requests" };
const policy = () => ({
  quotaCounts: new Map([
    ["daily", daily],
    ["shared", { ...daily, per: "owner" as const, every: "month" as const }],
  ]),
});

function use(counterId: string, more: Partial<CounterUse> = {}): CounterUse {
  return { counterId, windowMs: DAY_MS, used: 0, leased: 0, limit: 100, ...more };
}

async function near(...portions: readonly (readonly CounterUse[])[]) {
  const run = nearLimitsRun(
    {
      async *uses() {
        yield* portions;
      },
    },
    policy,
    () => NOW_MS,
  );
  await run.read(async () => undefined);
  return run.soFar();
}

test("lists the counters of present windows by their share, with what is leased", async () => {
  const { counters, byPercent, countersRead } = await near(
    [use("quota/key:daily:fam_a", { used: 79, leased: 2 }), use("quota/key:daily:fam_b", { used: 49 })],
    [use("quota/shadow/key:daily:fam_c", { used: 300 })],
    [
      use("quota/owner:shared:a:b\n{c}", {
        windowMs: Date.UTC(2026, 10, 1),
        used: 10 ** 12,
        limit: 10 ** 12,
      }),
    ],
  );
  const shown = [...counters.enforce, ...counters.shadow];
  expect(shown.map(({ subject, percent, mode }) => [subject, percent, mode])).toEqual([
    ["a:b\n{c}", 100, "enforce"],
    ["fam_a", 81, "enforce"],
    ["fam_c", 300, "shadow"],
  ]);
  expect(counters.enforce[0]?.resetsAtMs).toBe(Date.UTC(2026, 11, 1));
  const places = (counts: readonly number[]) =>
    counts.flatMap((count, at) => (count > 0 ? [[at, count]] : []));
  expect(places(byPercent.enforce)).toEqual([
    [31, 1],
    [50, 1],
  ]);
  expect(places(byPercent.shadow)).toEqual([[50, 1]]);
  expect(countersRead).toBe(4);
});

test("counts the counters by percent from 50 on, with all from 100 on in the last place", async () => {
  const empty = (await near([use("quota/key:daily:a", { used: 49 })])).byPercent.enforce;
  expect(empty).toEqual(Array.from({ length: 51 }, () => 0));
  const { byPercent } = await near(
    [50, 50, 99, 100, 101].map((used, at) => use(`quota/key:daily:${at}`, { used })),
  );
  expect(byPercent.enforce).toEqual([2, ...empty.slice(0, 48), 1, 2]);
});

test("leaves out ended windows, unknown quotas, other kinds of subject, and counters without a limit", async () => {
  const { counters } = await near([
    use("quota/key:daily:a", { used: 100, windowMs: DAY_MS - 86_400_000 }),
    use("quota/key:gone:a", { used: 100 }),
    use("quota/role:daily:a", { used: 100 }),
    use("quota/key:daily:a", { used: 100, limit: 0 }),
    use("quota/key:daily:b", { used: 0, windowMs: -1 }),
    use("something else", { used: 100 }),
  ]);
  expect(counters).toEqual({ enforce: [], shadow: [] });
});

test("of many counters it keeps those with the largest share, and counts all", async () => {
  const portions = Array.from({ length: 10 }, (_, portion) =>
    Array.from({ length: 500 }, (_, at) =>
      use(`quota/key:daily:${portion}-${at}`, { used: 50 + ((portion * 500 + at) % 100) }),
    ),
  );
  const { counters, byPercent } = await near(...portions);
  expect(counters.enforce).toHaveLength(1000);
  expect(counters.enforce[0]?.percent).toBe(149);
  expect(counters.enforce.at(-1)?.percent).toBe(130);
  expect(byPercent.enforce.reduce((sum, count) => sum + count, 0)).toBe(5000);
});

test("a counter that a scan finds twice is listed once", async () => {
  const counter = use("quota/key:daily:a", { used: 90 });
  const { counters, byPercent } = await near([counter], [counter]);
  expect(counters.enforce).toHaveLength(1);
  expect(byPercent.enforce.reduce((sum, count) => sum + count, 0)).toBe(1);
});

test("counters in shadow mode that are far beyond their limit hide no enforced one", async () => {
  const exceeded = Array.from({ length: 3000 }, (_, at) =>
    use(`quota/shadow/key:daily:${at}`, { used: 900 }),
  );
  const { counters } = await near([use("quota/key:daily:a", { used: 95 })], exceeded);
  expect(counters.enforce.map(({ subject }) => subject)).toEqual(["a"]);
});

test("lists a counter whose window began within a longer one of a new policy", async () => {
  const owned = (subject: string, windowMs: number) =>
    use(`quota/owner:shared:${subject}`, { windowMs, used: 90 });
  const { counters } = await near([
    owned("a", DAY_MS),
    owned("b", Date.UTC(2026, 11, 1) - 1),
    owned("c", Date.UTC(2026, 11, 1)),
    owned("d", Date.UTC(2026, 10, 1) - 1),
  ]);
  expect(counters.enforce.map(({ subject }) => subject)).toEqual(["a", "b"]);
});
