import type { Phase } from "./migration.ts";
import { enterPhase } from "./migration.ts";
import type { CallOrigin, Registry } from "./registry.ts";
import { auditEvent, commit, nowSeconds } from "./registry.ts";

/** An operator chooses the phase, or gives it back to the policy. All instances hear of it. */
export async function setPhase(
  registry: Registry,
  wanted: Phase | "from-policy",
  origin: CallOrigin,
): Promise<void> {
  const chosen = wanted !== "from-policy";
  const phase = chosen ? wanted : registry.policy().migration.phase;
  const current = registry.migration.state();
  const next = enterPhase(current, phase, chosen, nowSeconds(registry));
  if (next === current) return;
  const event = auditEvent(registry, origin, "migration_phase_set", {});
  await commit(registry, { put: [], migration: next, audit: [{ ...event, reason: wanted }] });
}
