import type { TestedRedis } from "../test/support/redis.ts";
import type { LatchkeyVariant, MeasuredServer } from "./candidates/candidate.ts";
import { startVariant } from "./candidates/candidate.ts";
import { auditOfEveryRequest, benchPolicy } from "./decision.ts";
import { measureDirect } from "./direct.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import { alternate } from "./rounds.ts";
import type { Scale } from "./scale.ts";
import { checkOf, signTokens } from "./tokens.ts";

const policy = benchPolicy();
const withPolicy = (lines: string) => ({ policy: `${policy}${lines}\n` });

/** The cost of each feature: everything enabled, compared with one change. */
export async function features(redis: TestedRedis, { rounds, requests }: Scale): Promise<Section> {
  const variants: LatchkeyVariant[] = [
    { name: "everything on", redis },
    { name: "without Redis", policy },
    { name: "without limits", redis, policy: policy.replace(/ {4}rate_limits: .*\n/, "") },
    {
      name: "with two limits",
      redis,
      policy: policy.replace("}]", "}, { name: all, per: role, capacity: 100000000, refill: 1000000/s }]"),
    },
    { name: "audit of nothing", redis, ...withPolicy("audit: { requests: off }") },
    { name: "audit of every request", redis, policy: auditOfEveryRequest() },
    { name: "with X-RateLimit headers", redis, ...withPolicy("headers: { legacy_ratelimit: true }") },
    { name: "10,000 routes", redis, policy: benchPolicy(10_000) },
  ];
  const [token = ""] = await signTokens(1);
  const message = checkOf(token);
  const running: MeasuredServer[] = [];
  try {
    for (const variant of variants) running.push(await startVariant(variant));
    const figures = await alternate(running, rounds, (one) => measureDirect(one, message, requests));
    return section("features", "The cost of a feature, directly to the listener", "everything on", figures);
  } finally {
    for (const { stop } of running) await stop();
  }
}
