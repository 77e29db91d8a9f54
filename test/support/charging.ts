import { randomUUID } from "node:crypto";
import { expect, vi } from "vitest";
import { createChargeLedger } from "../../src/core/charges/charge-ledger.ts";
import type { ReceivedCharge, SettledCharge } from "../../src/core/charges/charge-receiver.ts";
import { createChargeReceiver } from "../../src/core/charges/charge-receiver.ts";
import { createAuthorize } from "../../src/core/decision/authorize.ts";
import type { Decision } from "../../src/core/decision/decision.ts";
import { describedRequest } from "../../src/core/decision/described-request.ts";
import type { Principal } from "../../src/core/decision/principal.ts";
import { createMigration } from "../../src/core/legacy/migration.ts";
import { NO_OVERRIDES } from "../../src/core/overrides/override-view.ts";
import { createCalendars } from "../../src/core/quotas/calendar.ts";
import { allQuotaDemands } from "../../src/core/quotas/quota-demand.ts";
import type { QuotaStore } from "../../src/core/quotas/quota-store.ts";
import { createBucketStore } from "../../src/memory/bucket-store.ts";
import { createEmbeddedLimits } from "../../src/server/embedded-limits.ts";
import { createChargeTickets } from "../../src/tickets/charge-tickets.ts";
import { parsedPolicy } from "./parsed-policy.ts";

export const SECRET = "a secret of thirty-two characters";

export interface ChargingOptions {
  readonly store: QuotaStore;
  readonly policy: string;
  readonly nowMs?: () => number;
  readonly secrets?: readonly [string, ...string[]];
  readonly isServed?: boolean;
}

export type ChargingInstance = ReturnType<typeof startCharging>;

let instances = 0;

/** One instance that decides and charges, without listeners. Every request has the key of the principal. */
export function startCharging({
  store,
  policy: text,
  nowMs = Date.now,
  secrets = [SECRET],
  isServed = true,
}: ChargingOptions) {
  const policy = parsedPolicy(text);
  const {
    limits,
    pools: [pool],
    counters: [counters],
  } = createEmbeddedLimits({
    buckets: createBucketStore({ maxBuckets: 100 }),
    store,
    storeNowMs: nowMs,
    faults: () => policy.faults,
    instanceId: `charging${instances++}`,
    maxBuckets: 100,
    maxDescriptorBuckets: 1,
  });
  const tickets = createChargeTickets({ secrets, storeNowMs: nowMs });
  const ledger = createChargeLedger({ counters });
  const settled: SettledCharge[] = [];
  const receive = createChargeReceiver({
    policy: () => policy,
    overrides: NO_OVERRIDES,
    tickets,
    ledger,
    counters,
    storeNowMs: nowMs,
    isServed,
    onSettled: (one) => settled.push(one),
  });
  const decide = async (path: string, principal: Principal): Promise<Decision> => {
    const authorize = createAuthorize({
      policy: () => policy,
      verifier: { verify: () => ({ ok: true, principal }) },
      view: { endReason: () => undefined },
      migration: createMigration(),
      stalenessMs: () => 0,
      overrides: NO_OVERRIDES,
      buckets: limits,
      charged: counters,
      failures: { take: () => ({ ok: true, rates: [] }) },
      clientAddress: () => "192.0.2.1",
    });
    const described = describedRequest({ method: "POST", path, key: "a.b.c" }, policy);
    if (!described.ok) throw new Error(described.fault);
    return authorize(described.request, nowMs());
  };
  /** The ticket of an admitted request. Throws if it is denied. */
  const admit = async (path: string, principal = principalOf("x")): Promise<string> => {
    const decision = await decide(path, principal);
    if (decision.verdict === "deny") throw new Error(decision.reason);
    if (decision.charge === undefined) throw new Error("nothing is charged");
    return tickets.issue(principal, decision.charge, randomUUID());
  };
  /** Receives a charge, and waits until it is settled. */
  const charge = async (
    ticket: string | undefined,
    amount: number | undefined,
    more: Partial<ReceivedCharge> = {},
  ) => {
    const before = settled.length;
    const isOver = receive({
      ticket,
      amount,
      unit: "tokens",
      decisionId: undefined,
      isFallback: false,
      ...more,
    });
    await vi.waitFor(() => expect(settled.length).toBeGreaterThan(before), { timeout: 60_000, interval: 1 });
    return { result: settled.at(-1)?.result, isOver };
  };
  /** Units of the quota that are used, with those of leases. */
  const used = async (name = "daily", principal = principalOf("x")): Promise<number> => {
    const quotas = (policy.roles.get("basic")?.quotas ?? []).filter((quota) => quota.name === name);
    const [demand] = allQuotaDemands(quotas, principal, createCalendars());
    if (demand === undefined) throw new Error(`no quota ${name}`);
    await pool.sweep();
    const windows = demand.calendar(nowMs());
    const reply = await store.step(demand.counterId, { limit: demand.quota.limit, windows, settlements: [] });
    return reply.used + reply.leased;
  };
  return { policy, tickets, ledger, settled, receive, decide, admit, charge, used, close: pool.close };
}

export function principalOf(family: string, more: Partial<Principal> = {}): Principal {
  return {
    keyId: `basic_1_${family}`,
    family,
    role: "basic",
    scopes: [],
    name: "",
    issuedAt: 0,
    expiresAt: Number.MAX_SAFE_INTEGER,
    refreshAfter: Number.MAX_SAFE_INTEGER,
    ...more,
  };
}
