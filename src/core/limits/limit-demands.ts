import { createClockCache } from "../cache/clock-cache.ts";
import { createRepeats } from "../cache/repeats.ts";
import type { ChargesOf, RouteCharges } from "../charges/charge-grants.ts";
import { createChargesOf } from "../charges/charge-grants.ts";
import type { LimitList, Mode } from "../policy/policy.ts";
import type { Route } from "../policy/route-table.ts";
import type { Calendars } from "../quotas/calendar.ts";
import { createCalendars } from "../quotas/calendar.ts";
import type { QuotaDemand } from "../quotas/quota-demand.ts";
import { chargedDemands, quotaDemands } from "../quotas/quota-demand.ts";
import { bucketDemands } from "./bucket-demands.ts";
import type { LimitedKey } from "./limit-subject.ts";
import type { BucketDemand } from "./ports.ts";

/** Keys whose demands are kept: those of most requests. */
const MAX_KEPT_KEYS = 4096;
const NO_QUOTAS: Omit<LimitDemands, "buckets"> = { quotas: [], chargesOf: undefined };

/** Everything that a request takes from. */
export interface LimitDemands {
  readonly buckets: readonly BucketDemand[];
  readonly quotas: readonly QuotaDemand[];
  /** What a route charges after the response. Absent if the key has no quota of such a unit. */
  readonly chargesOf: ((route: Route) => RouteCharges | undefined) | undefined;
}

export type DemandsOf = (
  limits: LimitList,
  key: LimitedKey,
  /** The client's address. It is called only for limits with `per: address`. */
  address: () => string,
  mode?: Mode,
) => LimitDemands;

interface KeptDemands {
  readonly limits: LimitList;
  readonly mode: Mode;
  readonly demands: LimitDemands;
}

/**
 * The demands of a key. They are the same each time, unless they depend on the address, and kept from its second use on. Another
 * list, such as that of a reloaded policy or another plan, replaces the kept demands.
 */
export function createLimitDemands(): DemandsOf {
  const kept = createClockCache<LimitedKey, KeptDemands>(MAX_KEPT_KEYS);
  const isRepeated = createRepeats<LimitedKey>(({ family }) => family);
  const calendars = createCalendars();
  const grants = createChargesOf();
  return (limits, key, address, mode = "enforce") => {
    const known = kept.get(key);
    if (known?.limits === limits && known.mode === mode) return known.demands;
    const buckets = bucketDemands(limits, key, address, mode);
    // Most keys have no quotas.
    const { quotas, chargesOf } =
      limits.quotas.length === 0 ? NO_QUOTAS : quotasOf({ limits, key, mode }, calendars, grants);
    const demands = { buckets, quotas, chargesOf };
    if (isRepeated(key) && limits.rateLimits.every(({ per }) => per !== "address"))
      kept.set(key, { limits, mode, demands });
    return demands;
  };
}

interface Demanding {
  readonly limits: LimitList;
  readonly key: LimitedKey;
  readonly mode: Mode;
}

function quotasOf(
  { limits, key, mode }: Demanding,
  calendars: Calendars,
  grants: ChargesOf,
): Omit<LimitDemands, "buckets"> {
  const charged = chargedDemands(limits.quotas, key, calendars, mode);
  return {
    quotas: quotaDemands(limits.quotas, key, calendars, mode),
    chargesOf: charged.length === 0 ? undefined : (route) => grants(route, limits, charged),
  };
}
