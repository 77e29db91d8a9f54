import { addressGroup } from "../decision/client-address.ts";
import type { LimitList, Mode } from "../policy/policy.ts";
import type { LimitedKey } from "./limit-subject.ts";
import { subjectOf } from "./limit-subject.ts";
import type { BucketDemand } from "./ports.ts";

/**
 * The buckets that a request of this key takes tokens from. Shadow mode has its own buckets, so that the trial of a policy
 * takes no tokens from the clients that are served.
 * @param address the client's address, called only for limits with `per: address`
 */
export function bucketDemands(
  { bucketPrefix, rateLimits }: LimitList,
  key: LimitedKey,
  address: () => string,
  mode: Mode = "enforce",
): readonly BucketDemand[] {
  const prefix = mode === "shadow" ? "shadow:" : "";
  return rateLimits.map((limit) => {
    const subject = limit.per === "address" ? addressGroup(address()) : subjectOf(limit.per, key);
    return { limit, bucketId: `${prefix}${bucketPrefix}:${limit.name}:${subject}` };
  });
}
