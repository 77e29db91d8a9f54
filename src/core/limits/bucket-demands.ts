import { addressGroup } from "../decision/client-address.ts";
import type { LimitList, Mode } from "../policy/policy.ts";
import type { LimitedKey } from "./limit-subject.ts";
import { subjectOf } from "./limit-subject.ts";
import type { BucketDemand } from "./ports.ts";

/** The scopes of the limits of each list, in their order. */
type Scopes = Readonly<Record<Mode, readonly string[]>>;
const scopesOfLists = new WeakMap<LimitList, Scopes>();

/**
 * The buckets that a request of this key takes tokens from. Shadow mode has its own buckets, so that the trial of a policy
 * takes no tokens from the clients that are served.
 * @param address the client's address, called only for limits with `per: address`
 */
export function bucketDemands(
  limits: LimitList,
  key: LimitedKey,
  address: () => string,
  mode: Mode = "enforce",
): readonly BucketDemand[] {
  const scopes = scopesOf(limits)[mode];
  return limits.rateLimits.map((limit, at) => {
    const scope = scopes[at] ?? "";
    // An address is a slice of the message of its request. As a part of its own it would keep the message in memory.
    if (limit.per === "address") return { limit, bucketId: scope + addressGroup(address()) };
    const subject = subjectOf(limit.per, key);
    return { limit, bucketId: scope + subject, scope, subject };
  });
}

function scopesOf(limits: LimitList): Scopes {
  const known = scopesOfLists.get(limits);
  if (known !== undefined) return known;
  const { bucketPrefix, rateLimits } = limits;
  const enforce = rateLimits.map(({ name }) => `${bucketPrefix}:${name}:`);
  const scopes = { enforce, shadow: enforce.map((scope) => `shadow:${scope}`) };
  scopesOfLists.set(limits, scopes);
  return scopes;
}
