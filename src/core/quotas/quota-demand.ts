import type { Principal } from "../decision/principal.ts";
import { ownerOf } from "../decision/principal.ts";
import type { Mode, Quota, QuotaSubject } from "../policy/policy.ts";
import type { Calendar, Calendars } from "./calendar.ts";

/** One quota that a request takes units from. */
export interface QuotaDemand {
  /** The counter's id on all instances: quota and subject. No bucket has this id. */
  readonly counterId: string;
  /** The counter and the limit: leases of one limit are not spent under another one. */
  readonly holderId: string;
  readonly quota: Quota;
  /** The family, owner or role that uses it. */
  readonly subject: string;
  readonly mode: Mode;
  readonly calendar: Calendar;
}

/** Only Checks charge, and only requests. */
const CHARGED_UNIT = "requests";

/**
 * The quotas that a request of this key takes units from. Shadow mode has its own counters, so that the trial of a policy takes
 * nothing from the clients that are served.
 */
export function quotaDemands(
  quotas: readonly Quota[],
  key: Pick<Principal, "family" | "owner" | "role">,
  calendars: Calendars,
  mode: Mode = "enforce",
): readonly QuotaDemand[] {
  // The names of roles and plans, with which the ids of buckets begin, contain no slash but "plan/".
  const prefix = mode === "shadow" ? "quota/shadow/" : "quota/";
  return quotas
    .filter(({ unit }) => unit === CHARGED_UNIT)
    .map((quota) => {
      const subject = subjectOf(quota.per, key);
      const counterId = `${prefix}${quota.per}:${quota.name}:${subject}`;
      const holderId = `${counterId} ${quota.limit}`;
      return { counterId, holderId, quota, subject, mode, calendar: calendars(quota) };
    });
}

function subjectOf(per: QuotaSubject, key: Pick<Principal, "family" | "owner" | "role">): string {
  switch (per) {
    case "key":
      return key.family;
    case "owner":
      return ownerOf(key);
    case "role":
      return key.role;
  }
}
