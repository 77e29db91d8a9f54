import { randomUUID } from "node:crypto";
import { encodeCheckRequest } from "../scripts/protobuf.ts";
import type { ChargeGrant } from "../src/core/charges/charge-ticket.ts";
import type { Decision } from "../src/core/decision/decision.ts";
import { normalisePath } from "../src/core/decision/path.ts";
import { createFindLimits } from "../src/core/limits/applied-limits.ts";
import type { Quota, RateLimit } from "../src/core/policy/policy.ts";
import { createCalendars } from "../src/core/quotas/calendar.ts";
import { quotaDemands } from "../src/core/quotas/quota-demand.ts";
import { createUsageMeter } from "../src/core/usage/usage-meter.ts";
import { toAuthRequest } from "../src/ext-authz/auth-request.ts";
import { decodeCheckRequest } from "../src/ext-authz/check-request-decoder.ts";
import { createResponseEncoder } from "../src/ext-authz/response-cache.ts";
import { createMetrics } from "../src/telemetry/metrics/metrics.ts";
import { createChargeTickets } from "../src/tickets/charge-tickets.ts";
import { parsedPolicy } from "../test/support/parsed-policy.ts";
import {
  benchAttributes,
  benchCheck,
  benchPolicy,
  benchPolicyWithPlan,
  benchRecord,
  createDecisionServices,
  grantedLimits,
  overriddenOwners,
} from "./decision.ts";
import { median, table } from "./figures.ts";

/** `npm run bench:micro`: measures the time and the memory of each step of a warm Check, in one process, without a network. */
const ROUNDS = 7;
const ROUND_MS = Number(process.env["ROUND_MS"] ?? 150);

/** Measures several rounds. Reads the clock once per 100 calls, so that reading it does not count. */
async function nsPerCall(work: () => unknown): Promise<{ readonly median: number; readonly best: number }> {
  const isAsync = work() instanceof Promise;
  const round = async (forMs: number) => {
    const start = performance.now();
    let calls = 0;
    do {
      for (let i = 0; i < 100; i++)
        if (isAsync) await work();
        else work();
      calls += 100;
    } while (performance.now() - start < forMs);
    return ((performance.now() - start) * 1e6) / calls;
  };
  await round(2 * ROUND_MS);
  const rounds: number[] = [];
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round(ROUND_MS));
  return { median: median(rounds), best: Math.min(...rounds) };
}

/** The median of the heap that a call takes, in bytes. Undefined for work that is not synchronous. */
function bytesPerCall(work: () => unknown): number | undefined {
  if (work() instanceof Promise || globalThis.gc === undefined) return undefined;
  const calls = 2000;
  const samples = Array.from({ length: ROUNDS }, () => {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < calls; i++) work();
    return (process.memoryUsage().heapUsed - before) / calls;
  });
  return median(samples);
}

const nowMs = Date.now();
const overrides = overriddenOwners(nowMs);
const services = await createDecisionServices(benchPolicyWithPlan(), 100_000, overrides);
const token = await services.signer.sign(benchRecord(1, nowMs));
const message = encodeCheckRequest({ attributes: benchAttributes(token) });
const parsed = toAuthRequest(decodeCheckRequest(message), "reject");
if (!parsed.ok) throw new Error(parsed.fault);
const { request } = parsed;
await services.verifier.verify(token, nowMs);
const decision: Decision = await services.authorize(request, nowMs);
if (decision.verdict !== "allow") throw new Error(decision.reason);
const metrics = createMetrics({ version: "bench", nowMs: Date.now, outputDropped: () => 0 });
metrics.policyInForce(services.policy);
const meter = createUsageMeter({ isStopped: () => false, onDropped: () => undefined });
const { routes } = parsedPolicy(benchPolicy(10_000));

const limit: RateLimit = { name: "l", per: "key", leased: true, capacity: 1e9, refillPerSecond: 1e6 };
const leases = grantedLimits({ monotonicMs: () => performance.now(), fallback: services.buckets });
const tickets = createChargeTickets({ secrets: ["bench"], storeNowMs: () => nowMs });
const LIMITED_KEY = { family: "fam_0123456789abcdefghijkl", owner: "acme", role: "basic", plan: "team" };
const DECISION_ID = randomUUID();
const GRANT: ChargeGrant = {
  mode: "enforce",
  route: "/v1/chat/completions",
  units: ["llm_tokens"],
  reserved: { unit: "llm_tokens", amount: 4000, quotas: ["llm-daily"] },
};
const demands = [{ bucketId: "b", limit }];
await leases.take(demands, 1, nowMs);
const twoDemands = [...demands, { bucketId: "c", limit }];
const quota: Quota = {
  name: "q",
  per: "key",
  limit: 1e12,
  every: "month",
  timeZone: "UTC",
  unit: "requests",
};
const quotas = quotaDemands([quota], { family: "f", role: "r" }, createCalendars());
await leases.take(twoDemands, 1, nowMs, quotas);

const twoRates = await leases.take(twoDemands, 1, nowMs);
const rates = await leases.take(twoDemands, 1, nowMs, quotas);

const uncached = await createDecisionServices(benchPolicy(), 1);
const [other, another] = await Promise.all([2, 3].map((n) => services.signer.sign(benchRecord(n, nowMs))));
let turn = 0;
const context = {
  decisionId: randomUUID(),
  forwardPrefix: services.policy.forwardPrefix,
  legacyRateLimit: false,
  credentialSources: services.policy.credentialSources,
  request,
  grpc: false,
};
const encode = createResponseEncoder();
const check = benchCheck(services, {
  newDecisionId: randomUUID,
  onDecision(made, about) {
    metrics.countDecision(made, about);
    meter.count(made, about.mode);
  },
});

const findLimits = createFindLimits(overrides);
const { policy } = services;
const role = policy.roles.get("bench");
const { principal } = decision;
if (role === undefined || principal === undefined) throw new Error("the bench has a role and a key");

const withTwo: Decision = { ...decision, rates: twoRates.rates };
const withQuota: Decision = { ...decision, rates: rates.rates };

const STEPS: readonly (readonly [string, () => unknown])[] = [
  ["decode", () => toAuthRequest(decodeCheckRequest(message), "reject")],
  ["normalise a path", () => normalisePath("/v1/chat/completions?stream=true", "reject")],
  ["find a route of 10", () => services.policy.routes.find(request)],
  ["find a route of 10,000", () => routes.find(request)],
  ["verify, seen before", () => services.verifier.verify(token, nowMs)],
  ["verify, new", () => uncached.verifier.verify((turn++ % 2 === 0 ? other : another) ?? "", nowMs)],
  ["find the limits of a key with an override", () => findLimits(policy, role, principal, nowMs)],
  ["a bucket in memory", () => services.buckets.take(demands, 1, nowMs)],
  ["a bucket by lease", () => leases.take(demands, 1, nowMs)],
  ["two buckets by lease", () => leases.take(twoDemands, 1, nowMs)],
  ["two buckets and a quota by lease", () => leases.take(twoDemands, 1, nowMs, quotas)],
  ["decide", () => services.authorize(request, nowMs)],
  ["encode", () => encode(decision, context, "enforce")],
  ["a ticket of a charging route", () => tickets.issue(LIMITED_KEY, GRANT, DECISION_ID)],
  ["encode two limits", () => encode(withTwo, context, "enforce")],
  ["encode two limits and a quota", () => encode(withQuota, context, "enforce")],
  ["a decision id", () => randomUUID()],
  ["count it", () => metrics.countDecision(decision, { elapsedNs: 30_000n, mode: "enforce" })],
  ["count its usage", () => meter.count(decision, "enforce")],
  ["the whole Check", () => check(message, 500)],
];

const rows: string[][] = [];
for (const [name, work] of STEPS) {
  const { median: ns, best } = await nsPerCall(work);
  rows.push([name, ns.toFixed(0), best.toFixed(0), bytesPerCall(work)?.toFixed(0) ?? "-"]);
}
console.log(table(["step", "ns, median", "ns, best", "bytes"], rows));
await leases.close();
process.exit(0);
