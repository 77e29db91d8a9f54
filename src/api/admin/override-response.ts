import type { OverrideQuota, StoredOverride } from "../../core/overrides/override.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { createCalendars } from "../../core/quotas/calendar.ts";
import type { ApiPorts } from "../http/calls.ts";
import { formatTime } from "../keys/responses.ts";

const calendars = createCalendars();

/** How the API shows an override that is in force. */
export function overrideResponseBody(
  { scope, subject, version, expiresAt, content = {} }: StoredOverride,
  { policy }: Pick<ApiPorts, "policy">,
) {
  const { plan, quotas, note } = content;
  return {
    owner: scope === "owner" ? subject : null,
    family: scope === "family" ? subject : null,
    plan: plan ?? null,
    plan_known: plan === undefined || policy().plans.has(plan),
    quotas: quotas?.map((quota) => ({ ...quota, extra_until: extraUntil(quota, version, policy()) })) ?? null,
    note: note ?? null,
    version,
    set_at: formatTime(Math.floor(version / 1000)),
    expires_at: expiresAt === undefined ? null : formatTime(expiresAt),
  };
}

function extraUntil(
  { name, extra }: OverrideQuota,
  version: number,
  { quotaCounts }: Pick<Policy, "quotaCounts">,
): string | null {
  const count = quotaCounts.get(name);
  if (count === undefined || extra === 0) return null;
  return formatTime(Math.floor(calendars(count)(version).endMs / 1000));
}
