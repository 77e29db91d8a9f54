import type { CallOrigin, Registry } from "../keys/registry.ts";
import { auditEvent, commit, ensureDurable, nowSeconds, retryOnConflict } from "../keys/registry.ts";
import type { Phase } from "./migration.ts";
import { enterPhase } from "./migration.ts";

/** An operator chooses the phase, or gives it back to the policy. All instances hear of it. */
export function setPhase(
  registry: Registry,
  wanted: Phase | "from-policy",
  origin: CallOrigin,
): Promise<void> {
  const chosen = wanted !== "from-policy";
  const phase = chosen ? wanted : registry.policy().migration.phase;
  return retryOnConflict<void>(async () => {
    const from = await registry.store.migration();
    if (from !== undefined) registry.migration.applyState(from);
    const to = enterPhase(from, phase, chosen, nowSeconds(registry), registry.migration.state().version);
    if (to === from) return ensureDurable(registry);
    const event = auditEvent(registry, origin, "migration_phase_set", {});
    const audit = [{ ...event, reason: wanted }];
    const outcome = await commit(registry, { put: [], migration: { from, to }, audit });
    return outcome.kind === "conflict" ? "conflict" : undefined;
  });
}
