import { createClockCache } from "../cache/clock-cache.ts";
import { addressGroup } from "../decision/client-address.ts";
import type { Principal } from "../decision/principal.ts";
import { ownerOf } from "../decision/principal.ts";
import type { LimitSubject, Mode, Role } from "../policy/policy.ts";
import type { BucketDemand } from "./ports.ts";

/**
 * The buckets that a request of this key takes from, `per: address` by the address that is given. A shadow has its
 * own, so that trying a policy takes nothing from those who are served.
 */
export function bucketDemands(
  role: Role,
  principal: Principal,
  address: () => string,
  mode: Mode = "enforce",
): readonly BucketDemand[] {
  const known = recentDemands.get(principal);
  if (known?.role === role && known.mode === mode) return known.demands;
  const demands = demandsOf(role, principal, address, mode);
  if (role.rateLimits.every(({ per }) => per !== "address"))
    recentDemands.set(principal, { role, mode, demands });
  return demands;
}

interface Demanded {
  readonly role: Role;
  readonly mode: Mode;
  readonly demands: readonly BucketDemand[];
}

/** Of the keys that most requests come with: what they demand is the same each time. */
const recentDemands = createClockCache<Principal, Demanded>(4096);

function demandsOf(
  role: Role,
  principal: Principal,
  address: () => string,
  mode: Mode,
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
