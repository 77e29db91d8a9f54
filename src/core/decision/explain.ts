import type {
  BucketAdmin,
  BucketStore,
  ChargedQuotas,
  LimitStore,
  QuotaAdmin,
  QuotaLevel,
  TakeOutcome,
} from "../limits/ports.ts";
import { rateStatus } from "../limits/rate-status.ts";
import { secondsToRefill, takeOutcome } from "../limits/retry-after.ts";
import type { Mode, Policy } from "../policy/policy.ts";
import { countsRequests } from "../quotas/quota-demand.ts";
import { quotaStatus } from "../quotas/quota-status.ts";
import type { Authorize } from "./authorize.ts";
import type { Decision, RateStatus } from "./decision.ts";
import { DENIALS, deny } from "./decision.ts";
import type { DescribedRequest } from "./described-request.ts";
import { describedRequest } from "./described-request.ts";
import type { ExplainedStep } from "./trace.ts";

/** A decision with its steps. It never contains the key. */
export interface Explanation {
  readonly verdict: Decision["verdict"];
  readonly reason: Decision["reason"];
  /** The HTTP status that the client would get. 200 stands for the upstream's own status. */
  readonly status: number;
  readonly mode: Mode;
  /** The label of the matching route. */
  readonly route?: string;
  readonly steps: readonly ExplainedStep[];
}

export type Explain = (described: DescribedRequest) => Promise<Explanation>;

/** Explains with the same code that decides. `authorize` must not take tokens ({@link readOnlyLimits}). */
export function createExplain(ports: {
  readonly authorize: Authorize;
  readonly policy: () => Pick<Policy, "mode" | "credentialSources" | "pathParams">;
  readonly nowMs: () => number;
}): Explain {
  return async (described) => {
    const policy = ports.policy();
    const steps: ExplainedStep[] = [];
    const parsed = describedRequest(described, policy);
    if (!parsed.ok) {
      const { method, path } = described;
      const observed = `${method} ${path.split("?")[0] ?? ""}: ${parsed.fault.replaceAll("_", " ")}`;
      steps.push({ step: "request", observed, outcome: "request_malformed" });
      return explanationOf(deny("request_malformed"), policy, steps);
    }
    const decision = await ports.authorize(parsed.request, ports.nowMs(), (step, observed, outcome) =>
      steps.push({ step, observed, outcome }),
    );
    return explanationOf(decision, policy, steps);
  };
}

function explanationOf(
  decision: Decision,
  policy: Pick<Policy, "mode">,
  steps: readonly ExplainedStep[],
): Explanation {
  return {
    verdict: decision.verdict,
    reason: decision.reason,
    status: decision.verdict === "allow" ? 200 : DENIALS[decision.reason].status,
    mode: decision.route?.mode ?? policy.mode,
    ...(decision.route && { route: decision.route.label }),
    steps,
  };
}

/** Buckets and quotas that report the outcome of a take, and take nothing. */
export function readOnlyLimits(buckets: BucketAdmin, quotas: QuotaAdmin): LimitStore {
  return {
    async take(bucketDemands, cost, nowMs, quotaDemands = [], reserve = 0) {
      const [levels, counters] = await Promise.all([
        buckets.levels(bucketDemands, nowMs),
        quotas.levels(quotaDemands),
      ]);
      const rates = [
        ...levels.map(({ limit, tokens }) => rateStatus(limit, tokens)),
        ...counters.map((level) => quotaStatus(level.demand, freeUnits(level), nowMs)),
      ];
      const waits = levels.map(({ limit, tokens }) => secondsToRefill(cost - tokens, limit));
      const costOf = ({ demand }: QuotaLevel) => (countsRequests(demand.quota) ? cost : reserve);
      // Instances may still spend what they have leased.
      const lacking = counters.filter(
        (level) => costOf(level) > 0 && freeUnits(level) + level.leasedUnits < costOf(level),
      );
      return outcomeOf(lacking, { rates, waits, nowMs });
    },
  };
}

/** The quotas of units that are charged after the response, as they are now. */
export function readOnlyLook(quotas: QuotaAdmin): ChargedQuotas {
  return {
    async look(demands, nowMs) {
      const levels = await quotas.levels(demands);
      const rates = levels.map((level) => quotaStatus(level.demand, freeUnits(level), nowMs));
      const exhausted = levels.filter(({ limitUnits, usedUnits }) => usedUnits >= limitUnits);
      return outcomeOf(exhausted, { rates, waits: [], nowMs });
    },
  };
}

/** The outcome for a request that waits this long for its buckets, and for which these quotas have too little left. */
function outcomeOf(
  lacking: readonly QuotaLevel[],
  {
    rates,
    waits,
    nowMs,
  }: { readonly rates: readonly RateStatus[]; readonly waits: readonly number[]; readonly nowMs: number },
): TakeOutcome {
  const [longest] = lacking.toSorted((a, b) => b.resetsAtMs - a.resetsAtMs);
  if (longest === undefined) return takeOutcome(rates, Math.max(0, ...waits));
  const { demand, limitUnits, resetsAtMs } = longest;
  return {
    ok: false,
    reason: "quota_exceeded",
    retryAfterSeconds: Math.max(1, ...waits, Math.ceil((resetsAtMs - nowMs) / 1000)),
    rates,
    quota: { name: demand.quota.name, limit: limitUnits, resetsAtMs },
  };
}

function freeUnits({ limitUnits, usedUnits, leasedUnits }: QuotaLevel): number {
  return limitUnits - usedUnits - leasedUnits;
}

/** Counts no failures: an operator who asks for an explanation does not guess keys. */
export const UNCOUNTED_FAILURES: BucketStore = { take: () => ({ ok: true, rates: [] }) };
