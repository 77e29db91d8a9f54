import type { CommitDeps } from "../keys/commit.ts";
import { commit, ensureDurable, retryOnConflict } from "../keys/commit.ts";
import { nowSeconds } from "../keys/key-dates.ts";
import type { PolicyDeps } from "../keys/new-key.ts";
import type { AuditDeps, CallOrigin } from "../keys/operation-audit.ts";
import { auditEvent } from "../keys/operation-audit.ts";
import type { Migration, Phase } from "./migration.ts";
import { enterPhase } from "./migration.ts";
import type { PhaseReader } from "./ports.ts";

export type PhaseDeps = CommitDeps &
  AuditDeps &
  PolicyDeps & { readonly store: PhaseReader; readonly migration: Migration };

/** Sets the phase for all instances, or returns the choice to the policy. */
export function setPhase(deps: PhaseDeps, wanted: Phase | "from-policy", origin: CallOrigin): Promise<void> {
  const chosen = wanted !== "from-policy";
  const phase = chosen ? wanted : deps.policy().migration.phase;
  return retryOnConflict<void>(async () => {
    const from = await deps.store.migration();
    if (from !== undefined) deps.migration.applyState(from);
    const to = enterPhase(from, phase, chosen, nowSeconds(deps), deps.migration.state().version);
    if (to === from) return ensureDurable(deps);
    const event = auditEvent(deps, origin, "migration_phase_set", {});
    const audit = [{ ...event, reason: wanted }];
    const outcome = await commit(deps, { put: [], migration: { from, to }, audit });
    return outcome.kind === "conflict" ? "conflict" : undefined;
  });
}
