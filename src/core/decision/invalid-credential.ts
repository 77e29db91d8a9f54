import type { MaybePromise } from "../maybe-promise.ts";
import { chain } from "../maybe-promise.ts";
import type { Mode, RateLimit } from "../policy/policy.ts";
import { addressGroup } from "./client-address.ts";
import type { Deny } from "./decision.ts";
import type { Verification } from "./ports.ts";
import type { RequestContext } from "./request-context.ts";
import { denyAt } from "./request-context.ts";
import { describeRejection } from "./trace.ts";

/**
 * Denies an invalid credential. Failures are counted per client address. Above the limit the reason is
 * `too_many_failures`, so an attacker learns nothing more. Valid keys from the same address are not affected. Only
 * credentials that we did not issue are counted.
 */
export function denyInvalidCredential(
  context: RequestContext,
  verified: Extract<Verification, { ok: false }>,
): MaybePromise<Deny> {
  const { ports, policy, nowMs, route } = context;
  const { reason } = verified;
  const rejection = "rejection" in verified ? verified.rejection : undefined;
  const observed = describeRejection(rejection);
  const details = rejection === undefined ? {} : { rejection };
  if (reason !== "credential_invalid") return denyAt(context, "key", observed, reason, details);
  const mode: Mode = route?.mode ?? policy.mode;
  const limit: RateLimit = { name: "failures", per: "address", leased: false, ...policy.guards.failures };
  const demand = { bucketId: `${mode}:${addressGroup(context.address())}`, limit };
  return chain(ports.failures.take([demand], 1, nowMs), (taken) => {
    if (taken.ok) return denyAt(context, "key", observed, reason, details);
    const { retryAfterSeconds } = taken;
    return denyAt(context, "key", `${observed}; too many from this address`, "too_many_failures", {
      ...details,
      retryAfterSeconds,
    });
  });
}
