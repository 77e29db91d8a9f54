import type { CommitDeps } from "../keys/commit.ts";
import { commit, retryOnConflict } from "../keys/commit.ts";
import { nowSeconds } from "../keys/key-dates.ts";
import type { PolicyDeps } from "../keys/new-key.ts";
import type { AuditDeps, CallOrigin } from "../keys/operation-audit.ts";
import { auditEvent } from "../keys/operation-audit.ts";
import type { DeniedOperation } from "../keys/registry-denial.ts";
import { denied } from "../keys/registry-denial.ts";
import type { Migration, Phase } from "./migration.ts";
import { enterPhase } from "./migration.ts";
import type { PhaseReader } from "./ports.ts";

export type PhaseDeps = CommitDeps &
  AuditDeps &
  PolicyDeps & { readonly store: PhaseReader; readonly migration: Migration };

/**
 * Sets the phase for all instances, or returns the choice to the policy.
 * @param seen the phase on which the caller's decision is based; another phase denies the switch
 */
export function setPhase(
  deps: PhaseDeps,
  wanted: Phase | "from-policy",
  origin: CallOrigin,
  seen?: Phase,
): Promise<"done" | DeniedOperation> {
  const chosen = wanted !== "from-policy";
  const phase = chosen ? wanted : deps.policy().migration.phase;
  return retryOnConflict<"done" | DeniedOperation>(async () => {
    const from = await deps.store.migration();
    if (from !== undefined) deps.migration.applyState(from);
    // It is the newer one of the stored phase and of what this instance knows and the store may have lost.
    const known = deps.migration.state();
    if (seen !== undefined && known.phase !== seen) return denied("changed_meanwhile");
    const now = nowSeconds(deps);
    // The version is that of the time, and is also written if nothing changes: another instance may know a later step that the
    // store has lost, and would write it back.
    const to = enterPhase(known, phase, chosen, now, now * 1000);
    const isChange = [from, known].some((state) => state?.phase !== phase || state.chosen !== chosen);
    const event = { ...auditEvent(deps, origin, "migration_phase_set", {}), reason: wanted };
    const audit = isChange ? [event] : [];
    const outcome = await commit(deps, { put: [], migration: { from, to }, audit });
    return outcome.kind === "conflict" ? "conflict" : "done";
  });
}
