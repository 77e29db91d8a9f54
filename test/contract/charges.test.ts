import { randomUUID } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createReplay, readPastRequest } from "../../src/audit/replay.ts";
import type { Principal } from "../../src/core/decision/principal.ts";
import { createBreaker } from "../../src/core/limits/breaker.ts";
import type { QuotaStore } from "../../src/core/quotas/quota-store.ts";
import { createQuotaStore as createMemoryStore } from "../../src/memory/quota-store.ts";
import { parseCases } from "../../src/policy/cases.ts";
import { createQuotaStore as createRedisStore } from "../../src/redis/quota-store.ts";
import { createServerBreakers } from "../../src/redis/server-breakers.ts";
import { runCases } from "../../src/server/policy-trial/case-runner.ts";
import { createQuotaStore as createSqliteStore } from "../../src/sqlite/quota-batch.ts";
import { openThreadedStore } from "../../src/sqlite/threaded-store.ts";
import { parsedPolicy } from "../support/parsed-policy.ts";
import "../support/compiled-threads.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { principalOf, SECRET, startCharging } from "../support/charging.ts";
import { awayFromMidnight } from "../support/midnight.ts";
import { openTestedSpread, startTopology } from "../support/topology.ts";

const LIMIT = 1000;
const POLICY = `
units: { tokens: { max_charge: 5000 }, images: {} }
roles:
  basic:
    scopes: []
    ttl: 1d
    refresh_window: 1d
    quotas:
      - { name: daily, per: owner, limit: ${LIMIT}, every: day, unit: tokens }
      - { name: monthly, per: key, limit: 100000, every: month, unit: tokens }
      - { name: pictures, per: key, limit: 10, every: day, unit: images }
routes:
  - { path: /chat, charge: [tokens] }
  - { path: /reserved, charge: [tokens], reserve: { unit: tokens, amount: 400 } }
  - { path: /pictures, charge: [images] }
  - { path: /free }
`;
const newPrincipal = (more: Partial<Principal> = {}) => principalOf(`fam_${randomUUID()}`, more);

type OpenStore = () => Promise<{
  /** Another connection of another instance, where the kind of store has several. */
  readonly connect: () => Promise<QuotaStore>;
  readonly close: () => Promise<unknown>;
}>;

const openRedis: OpenStore = async () => {
  const setup = await startTopology();
  const opened: (() => Promise<void>)[] = [];
  return {
    async connect() {
      const spread = await openTestedSpread({ url: setup.url, commandTimeoutMs: 5000 });
      opened.push(spread.close);
      const newBreaker = () => createBreaker({ threshold: 3, probeEveryMs: 50 });
      return createRedisStore(
        spread,
        createServerBreakers(spread, { newBreaker, monotonicMs: () => performance.now() }),
      );
    },
    async close() {
      await Promise.all(opened.map((close) => close()));
      await setup.stop();
    },
  };
};

const openSqlite: OpenStore = async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "latchkey-charges-"));
  removeAtEnd(dataDir);
  const usageRetention = { hoursSeconds: 86_400, daysSeconds: 86_400 };
  const options = {
    dataDir,
    recordRetentionSeconds: 1,
    acceptEmptyRegistry: false,
    instanceId: "i",
    usageRetention,
  };
  const thread = await openThreadedStore(options, Date.now);
  const store = createSqliteStore(thread.quotas.takeSteps);
  return { connect: async () => store, close: thread.close };
};

describe.each([
  ["Redis", openRedis],
  ["SQLite", openSqlite],
])("on %s", (_name, open) => {
  let opened: Awaited<ReturnType<OpenStore>>;
  let stores: readonly QuotaStore[];

  beforeAll(async () => {
    await awayFromMidnight(30_000);
    opened = await open();
    stores = [await opened.connect(), await opened.connect()];
  });
  afterAll(() => opened?.close());

  // The store's clock, as an instance knows it, has fractions of milliseconds.
  const nowMs = () => Date.now() + 0.5;
  const start = (at = 0) =>
    startCharging({ store: stores[at] ?? expect.fail("a store"), policy: POLICY, nowMs });

  test("a charge counts once, for every quota of its unit, whichever instance receives it again", async () => {
    const [one, other] = [start(0), start(1)];
    const key = newPrincipal();
    const ticket = await one.admit("/chat", key);
    expect(await one.charge(ticket, 30)).toEqual({ result: "charged", isOver: false });
    for (const instance of [one, other, one])
      expect((await instance.charge(ticket, 30)).result).toBe("repeated");
    expect((await other.charge(ticket, 7)).result).toBe("repeated");
    expect([await one.used("daily", key), await one.used("monthly", key)]).toEqual([30, 30]);
  });

  test("a charge may exceed the limit, and then no instance admits requests of the unit", async () => {
    const [one, other] = [start(0), start(1)];
    const key = newPrincipal();
    expect(await one.charge(await one.admit("/chat", key), LIMIT - 1)).toMatchObject({ isOver: false });
    expect(await one.charge(await one.admit("/chat", key), 500)).toMatchObject({ isOver: true });
    for (const instance of [one, other])
      for (const path of ["/chat", "/reserved"])
        expect(await instance.decide(path, key)).toMatchObject({
          reason: "quota_exceeded",
          quota: { name: "daily", limit: LIMIT },
        });
    for (const path of ["/free", "/pictures"]) expect((await other.decide(path, key)).verdict).toBe("allow");
    expect((await one.decide("/chat", newPrincipal())).verdict).toBe("allow");
  });

  test("parallel requests reserve no more than the limit, over two instances, and their charges correct it", async () => {
    const [one, other] = [start(0), start(1)];
    const key = newPrincipal();
    const wanted = Array.from({ length: 10 }, (_, at) => (at % 2 === 0 ? one : other));
    const decided = await Promise.allSettled(
      wanted.map(async (instance) => ({ instance, ticket: await instance.admit("/reserved", key) })),
    );
    const admitted = decided.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    expect(admitted.length).toBe(2);
    await Promise.all([one.close(), other.close()]);
    // The ticket counts on any instance, with less, with exactly as much and with more than was reserved.
    const amounts = [100, 650];
    for (const [at, { instance, ticket }] of admitted.entries()) {
      const receiver = instance === one ? other : one;
      expect((await receiver.charge(ticket, amounts[at])).result).toBe("charged");
    }
    expect(await one.used("daily", key)).toBe(750);
  });

  test("a fallback counts if nothing else of the unit was charged, and only then", async () => {
    const one = start();
    const key = newPrincipal();
    const [first, second] = [await one.admit("/chat", key), await one.admit("/chat", key)];
    expect((await one.charge(first, 20)).result).toBe("charged");
    expect((await one.charge(first, 400, { isFallback: true })).result).toBe("fallback_unused");
    expect((await one.charge(second, 400, { isFallback: true })).result).toBe("fallback");
    expect((await one.charge(second, 20)).result).toBe("repeated");
    expect(await one.used("daily", key)).toBe(420);
  });

  test("however requests and charges of two instances interleave, each counts what it has used and nothing else", async () => {
    const [one, other] = [start(0), start(1)];
    const request = fc.record({
      path: fc.constantFrom("/chat", "/reserved"),
      amount: fc.integer({ min: 0, max: 60 }),
      sends: fc.array(fc.nat({ max: 1 }), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 6 }), async (requests) => {
        const key = newPrincipal({ owner: `own_${randomUUID()}` });
        let used = 0;
        await Promise.all(
          requests.map(async ({ path, amount, sends }, at) => {
            const instance = at % 2 === 0 ? one : other;
            const decision = await instance.decide(path, key);
            if (decision.verdict === "deny" || decision.charge === undefined) return;
            const ticket = instance.tickets.issue(key, decision.charge, randomUUID());
            // A reservation without a charge counts as spent.
            used += sends.length === 0 ? (path === "/reserved" ? 400 : 0) : amount;
            await Promise.all(sends.map((to) => (to === 0 ? one : other).charge(ticket, amount)));
          }),
        );
        await Promise.all([one.close(), other.close()]);
        await untilSettled([one, other]);
        expect(await one.used("daily", key)).toBe(used);
      }),
      { numRuns: 25 },
    );
  });
});

/** Until no charge is on its way: `charge` returns with the first outcome of any. */
async function untilSettled(all: readonly ReturnType<typeof startCharging>[]): Promise<void> {
  await expect.poll(() => all.every(({ ledger }) => ledger.waiting() === 0), { interval: 1 }).toBe(true);
}

describe("who charges no one", () => {
  const memory = () => createMemoryStore(Date.now);
  const open = (more: Partial<Parameters<typeof startCharging>[0]> = {}) =>
    startCharging({ store: memory(), policy: POLICY, ...more });

  test.each<[string, number | undefined, string]>([
    ["2^63, as the decoder reads it", Number.MAX_SAFE_INTEGER, "too_much"],
    ["more than max_charge", 5001, "too_much"],
    ["no amount", undefined, "no_amount"],
  ])("a caller that sends %s", async (_what, amount, result) => {
    const one = open();
    const ticket = await one.admit("/chat");
    expect(await one.charge(ticket, amount)).toEqual({ result, isOver: false });
    expect(await one.used()).toBe(0);
    // It has not used up the ticket either.
    expect((await one.charge(ticket, 5)).result).toBe("charged");
  });

  test("a caller that sends zero, which only returns the reservation", async () => {
    const one = open();
    const [plain, reserved] = [await one.admit("/chat"), await one.admit("/reserved")];
    expect([(await one.charge(plain, 0)).result, (await one.charge(reserved, 0)).result]).toEqual([
      "charged",
      "charged",
    ]);
    await one.close();
    expect(await one.used()).toBe(0);
  });

  test("a caller without a ticket, or with one that Latchkey has not issued", async () => {
    const one = open();
    const stranger = open({ secrets: ["another secret of thirty-two characters"] });
    expect((await one.charge(undefined, 5)).result).toBe("no_ticket");
    expect((await one.charge("", 5)).result).toBe("no_ticket");
    expect((await one.charge(await stranger.admit("/chat"), 5)).result).toBe("invalid_ticket");
    expect(await one.used()).toBe(0);
  });

  test("a caller that moves a ticket to another decision, unit, route or key", async () => {
    const one = open();
    const [mine, other] = [await one.admit("/chat"), await one.admit("/pictures", principalOf("y"))];
    expect((await one.charge(mine, 5, { decisionId: "another" })).result).toBe("invalid_ticket");
    for (const unit of ["images", "requests", "unknown", "__proto__", "", undefined])
      expect((await one.charge(mine, 5, { unit })).result).toBe("wrong_unit");
    const [a, b] = [mine.split("."), other.split(".")];
    for (let part = 0; part < a.length; part++) {
      const mixed = a.with(part, b[part] ?? "").join(".");
      if (mixed !== mine && mixed !== other)
        expect((await one.charge(mixed, 5)).result).toBe("invalid_ticket");
    }
    expect([await one.used(), await one.used("daily", principalOf("y"))]).toEqual([0, 0]);
    const decisionId = one.tickets.open(mine)?.decisionId;
    expect((await one.charge(mine, 5, { decisionId })).result).toBe("charged");
  });

  test("whoever can reach a listener that is not only the proxy's", async () => {
    const one = open({ isServed: false });
    expect((await one.charge(await one.admit("/chat"), 5)).result).toBe("not_served");
    expect(await one.used()).toBe(0);
  });

  test("a key whose role or quota the policy no longer has", async () => {
    const store = memory();
    const before = open({ store });
    const ticket = await before.admit("/chat");
    const after = open({
      store,
      policy: POLICY.replaceAll("day, unit: tokens", "day, unit: images").replaceAll(
        "month, unit: tokens",
        "month, unit: images",
      ),
    });
    expect((await after.charge(ticket, 5)).result).toBe("no_quota");
  });
});

describe("with time", () => {
  const DAY = Date.UTC(2027, 4, 10);
  const open = (atMs: number) => {
    const clock = { nowMs: atMs };
    const nowMs = () => clock.nowMs;
    const store = createMemoryStore(nowMs);
    return {
      clock,
      one: startCharging({ store, policy: POLICY, nowMs }),
      start: () => startCharging({ store, policy: POLICY, nowMs }),
    };
  };

  test("a ticket counts until charge_within is over", async () => {
    const { clock, one } = open(DAY + 7_200_000);
    const [first, second] = [await one.admit("/chat"), await one.admit("/chat")];
    clock.nowMs += 3_600_000;
    expect((await one.charge(first, 5)).result).toBe("charged");
    clock.nowMs += 1;
    expect((await one.charge(second, 5)).result).toBe("expired_ticket");
    expect((await one.charge(first, 5)).result).toBe("expired_ticket");
  });

  test("a reservation without a charge counts as spent, and after reserve_for a charge only adds to it", async () => {
    const { clock, one } = open(DAY + 7_200_000);
    const [never, less] = [await one.admit("/reserved"), await one.admit("/reserved")];
    expect(never).not.toBe(less);
    await one.close();
    clock.nowMs += 600_001;
    expect(await one.used()).toBe(800);
    expect((await one.charge(less, 100)).result).toBe("charged");
    expect(await one.used()).toBe(800);
    expect((await one.charge(never, 450)).result).toBe("charged");
    expect(await one.used()).toBe(850);
  });

  test("a charge belongs to the window in which it is received, and returns nothing to a window that has not reserved", async () => {
    const { clock, one } = open(DAY - 60_000);
    const ticket = await one.admit("/reserved");
    await one.close();
    clock.nowMs = DAY + 60_000;
    expect((await one.charge(ticket, 100)).result).toBe("charged");
    expect(await one.used()).toBe(100);
  });

  test("a reservation of the first moments of a window is not returned, because it may belong to the window before", async () => {
    const { clock, one } = open(DAY + 1000);
    const ticket = await one.admit("/reserved");
    await one.close();
    clock.nowMs += 5000;
    await one.charge(ticket, 100);
    expect(await one.used()).toBe(400);
  });

  test("secrets that were replaced still verify", async () => {
    const { one } = open(DAY);
    const ticket = await one.admit("/chat");
    const rotated = startCharging({
      store: createMemoryStore(() => DAY),
      policy: POLICY,
      nowMs: () => DAY,
      secrets: ["another secret of thirty-two characters", SECRET],
    });
    expect((await rotated.charge(ticket, 5)).result).toBe("charged");
  });
});

test("on SQLite, a charge that had to wait longer than its ticket lives is remembered too", async () => {
  const opened = await openSqlite();
  const store = await opened.connect();
  const nowMs = Date.now();
  const windows = { startMs: nowMs - 86_400_000, endMs: nowMs + 3_600_000, nextEndMs: nowMs + 7_200_000 };
  const times = { issuedMs: nowMs - 7_200_000, receivedMs: nowMs - 7_000_000, keepMs: 3_600_000 };
  const charge = { id: randomUUID(), amount: 5, reserved: 0, isRefundable: false, ...times };
  const step = async () =>
    (await store.step("quota/key:daily:x", { limit: 10, windows, settlements: [], charge })).charged;
  expect([await step(), await step()]).toEqual(["counted", "repeat"]);
  await opened.close();
});

describe("without the store", () => {
  const open = (faults: "count" | "deny") => {
    const inner = createMemoryStore(Date.now);
    const state = { isUp: true, losesReplies: false };
    const store: QuotaStore = {
      async step(...args) {
        if (!state.isUp) throw new Error("the store is unavailable");
        const reply = await inner.step(...args);
        if (state.losesReplies) throw new Error("the reply is lost");
        return reply;
      },
    };
    return { state, one: startCharging({ store, policy: `${POLICY}\nfaults: { quotas: ${faults} }` }) };
  };

  test("charges wait, count against the quota here, and are counted once when the store is back", async () => {
    const { state, one } = open("count");
    const ticket = await one.admit("/chat");
    state.isUp = false;
    const isOver = one.receive({
      ticket,
      amount: 1200,
      unit: "tokens",
      decisionId: undefined,
      isFallback: false,
    });
    expect(isOver).toBe(true);
    expect(await one.decide("/chat", principalOf("x"))).toMatchObject({ reason: "quota_exceeded" });
    await expect(one.ledger.post()).rejects.toThrow("did not answer");
    state.isUp = true;
    await one.ledger.post();
    await one.ledger.post();
    expect([one.ledger.waiting(), await one.used(), one.settled.map(({ result }) => result)]).toEqual([
      0,
      1200,
      ["charged"],
    ]);
  });

  test("a charge whose answer was lost is sent again, and counts once", async () => {
    const { state, one } = open("count");
    const ticket = await one.admit("/chat");
    state.losesReplies = true;
    one.receive({ ticket, amount: 30, unit: "tokens", decisionId: undefined, isFallback: false });
    await expect.poll(one.ledger.waiting).toBe(2);
    state.losesReplies = false;
    await one.ledger.post();
    expect([await one.used(), one.ledger.waiting()]).toEqual([30, 0]);
  });

  test.each(["count", "deny"] as const)("an unknown quota with faults.quotas: %s", async (faults) => {
    const { state, one } = open(faults);
    state.isUp = false;
    expect((await one.decide("/chat", principalOf("x"))).reason).toBe(
      faults === "count" ? "allowed" : "limits_unavailable",
    );
    expect((await one.decide("/reserved", principalOf("x"))).reason).toBe(
      faults === "count" ? "allowed" : "limits_unavailable",
    );
    expect((await one.decide("/free", principalOf("x"))).reason).toBe("allowed");
  });
});

describe("before a deployment", () => {
  const file = `
keys: { holder: { role: basic } }
cases:
  - { name: reserves, request: POST /reserved, key: holder, expect: allowed }
  - { name: the limit admits two, request: POST /reserved, key: holder, after: 1, expect: allowed }
  - { name: and not three, request: POST /reserved, key: holder, after: 2, expect: quota_exceeded }
  - { name: a route that only charges takes nothing, request: POST /chat, key: holder, after: 9, expect: allowed }
`;

  test("cases of a policy reserve, and explanations say what is reserved and charged", async () => {
    const cases = parseCases(file, "cases");
    if (!cases.ok) throw new Error(cases.problems.join("\n"));
    const results = await runCases(cases.file, parsedPolicy(POLICY));
    expect(results.flatMap(({ problems }) => problems)).toEqual([]);
    const steps = results[0]?.explanation.steps ?? [];
    expect(steps.find(({ step }) => step === "limits")?.outcome).toBe(
      "cost 1, reserves 400 tokens, charges tokens after the response",
    );
  });

  test("a replay decides charging routes, and does not guess what was left of a quota", async () => {
    const replay = createReplay(parsedPolicy(POLICY));
    const past = (reason: string, path: string) =>
      readPastRequest({
        ...{
          time: "2027-05-10T00:00:00Z",
          reason,
          mode: "enforce",
          method: "POST",
          host: "x",
          scheme: "https",
        },
        ...{ path, key_id: "basic_1_x", family: "fam_x", role: "basic", plan: null, scopes: [] },
      }) ?? expect.fail("a line about a request");
    for (const path of ["/chat", "/reserved"]) {
      expect(await replay(past("allowed", path))).toMatchObject({ determined: true, wouldBe: "allowed" });
      expect(await replay(past("quota_exceeded", path))).toMatchObject({ determined: false });
    }
  });
});
