import { addressGroup } from "../decision/client-address.ts";
import type { Principal } from "../decision/principal.ts";
import { ownerOf } from "../decision/principal.ts";
import type { LimitList, LimitSubject, Mode } from "../policy/policy.ts";
import type { BucketDemand } from "./ports.ts";

/** The fields of a key that its buckets depend on. */
type LimitedKey = Pick<Principal, "family" | "owner" | "role">;

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
    const subject = subjectOf(limit.per, key, address);
    return { limit, bucketId: `${prefix}${bucketPrefix}:${limit.name}:${subject}` };
  });
}

function subjectOf(per: LimitSubject, key: LimitedKey, address: () => string): string {
  switch (per) {
    case "key":
      return key.family;
    case "owner":
      return ownerOf(key);
    case "role":
      return key.role;
    case "address":
      return addressGroup(address());
  }
}
