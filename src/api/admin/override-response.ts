import type { StoredOverride } from "../../core/overrides/override.ts";
import type { ApiPorts } from "../http/calls.ts";
import { formatTime } from "../keys/responses.ts";

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
    quotas: quotas ?? null,
    note: note ?? null,
    version,
    set_at: formatTime(Math.floor(version / 1000)),
    expires_at: expiresAt === undefined ? null : formatTime(expiresAt),
  };
}
