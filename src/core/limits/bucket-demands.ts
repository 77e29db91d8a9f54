import { createClockCache } from "../cache/clock-cache.ts";
import { addressGroup } from "../decision/client-address.ts";
import type { Principal } from "../decision/principal.ts";
import { ownerOf } from "../decision/principal.ts";
import type { LimitSubject, Mode, Role } from "../policy/policy.ts";
import type { BucketDemand } from "./ports.ts";

/** Keys whose demands are kept: those of most requests. */
const MAX_KEPT_KEYS = 4096;

export type BucketDemands = typeof bucketDemands;

interface KeptDemands {
  readonly role: Role;
  readonly mode: Mode;
  readonly demands: readonly BucketDemand[];
}

/** {@link bucketDemands} with a cache: the demands of a key are the same each time, unless they depend on the address. */
export function createBucketDemands(): BucketDemands {
  const kept = createClockCache<Principal, KeptDemands>(MAX_KEPT_KEYS);
  return (role, principal, address, mode = "enforce") => {
    const known = kept.get(principal);
    if (known?.role === role && known.mode === mode) return known.demands;
    const demands = bucketDemands(role, principal, address, mode);
    if (role.rateLimits.every(({ per }) => per !== "address")) kept.set(principal, { role, mode, demands });
    return demands;
  };
}

/**
 * The buckets that a request of this key takes tokens from. Shadow mode has its own buckets, so that the trial of a policy
 * takes no tokens from the clients that are served.
 * @param address the client's address, called only for limits with `per: address`
 */
export function bucketDemands(
  role: Role,
  principal: Principal,
  address: () => string,
  mode: Mode = "enforce",
): readonly BucketDemand[] {
  const prefix = mode === "shadow" ? "shadow:" : "";
  return role.rateLimits.map((limit) => {
    const subject = subjectOf(limit.per, role, principal, address);
    return { limit, bucketId: `${prefix}${role.name}:${limit.name}:${subject}` };
  });
}

function subjectOf(per: LimitSubject, role: Role, principal: Principal, address: () => string): string {
  switch (per) {
    case "key":
      return principal.family;
    case "owner":
      return ownerOf(principal);
    case "role":
      return role.name;
    case "address":
      return addressGroup(address());
  }
}
