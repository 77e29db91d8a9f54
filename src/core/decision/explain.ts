import type { BucketAdmin, BucketStore } from "../limits/ports.ts";
import type { Mode, Policy } from "../policy/policy.ts";
import type { Authorize } from "./authorize.ts";
import type { Decision } from "./decision.ts";
import { DENIALS, deny } from "./decision.ts";
import type { DescribedRequest } from "./described-request.ts";
import { describedRequest } from "./described-request.ts";
import type { ExplainedStep } from "./trace.ts";

/** A decision with the way to it. It never holds the key. */
export interface Explanation {
  readonly verdict: Decision["verdict"];
  readonly reason: Decision["reason"];
  /** What the client would be told; 200 stands for whatever upstream says. */
  readonly status: number;
  readonly mode: Mode;
  /** The label of the route that was found. */
  readonly route?: string;
  readonly steps: readonly ExplainedStep[];
}

export type Explain = (described: DescribedRequest) => Promise<Explanation>;

/** Explains by the very code that decides; `authorize` must look at buckets only ({@link readOnlyBuckets}). */
export function createExplain(ports: {
  readonly authorize: Authorize;
  readonly policy: () => Policy;
  readonly nowMs: () => number;
}): Explain {
  return async (described) => {
    const policy = ports.policy();
    const steps: ExplainedStep[] = [];
    const asked = describedRequest(described, policy);
    if (!asked.ok) {
      const saw = `${described.method} ${described.path.split("?")[0] ?? ""}: ${asked.fault.replaceAll("_", " ")}`;
      steps.push({ step: "request", saw, outcome: "request_malformed" });
      return explanationOf(deny("request_malformed"), policy, steps);
    }
    const decision = await ports.authorize(asked.request, ports.nowMs(), (step, saw, outcome) =>
      steps.push({ step, saw, outcome }),
    );
    return explanationOf(decision, policy, steps);
  };
}

function explanationOf(decision: Decision, policy: Policy, steps: readonly ExplainedStep[]): Explanation {
  return {
    verdict: decision.verdict,
    reason: decision.reason,
    status: decision.verdict === "allow" ? 200 : DENIALS[decision.reason].status,
    mode: decision.route?.mode ?? policy.mode,
    ...(decision.route && { route: decision.route.label }),
    steps,
  };
}

/** Buckets that tell what would be, and give nothing away. */
export function readOnlyBuckets(buckets: BucketAdmin): BucketStore {
  return {
    async take(demands, cost, nowMs) {
      const levels = await buckets.levels(demands, nowMs);
      const rates = levels.map(({ limit, tokens }) => ({
        name: limit.name,
        capacity: limit.capacity,
        windowSeconds: Math.ceil(limit.capacity / limit.refillPerSecond),
        remaining: Math.floor(tokens),
      }));
      const waits = levels.map(({ limit, tokens }) => Math.ceil((cost - tokens) / limit.refillPerSecond));
      const retryAfterSeconds = Math.max(0, ...waits);
      return retryAfterSeconds === 0
        ? { ok: true, rates }
        : { ok: false, reason: "rate_limited", retryAfterSeconds, rates };
    },
  };
}

/** Counts nothing: whoever asks why is not guessing. */
export const UNCOUNTED_FAILURES: BucketStore = { take: () => ({ ok: true, rates: [] }) };
