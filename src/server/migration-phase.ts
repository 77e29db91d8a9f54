import type { AuditEvent } from "../core/audit/audit-event.ts";
import type { Clock } from "../core/clock.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import { RegistryFrozen } from "../core/keys/registry-frozen.ts";
import type { Migration, MigrationState, MigrationStep } from "../core/legacy/migration.ts";
import { enterPhase } from "../core/legacy/migration.ts";
import type { Policy } from "../core/policy/policy.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import { createOutageLog } from "../telemetry/outage-log.ts";
import { randomText } from "./random-id.ts";

export interface MigrationPhaseDeps {
  readonly migration: Migration;
  readonly keys: Pick<KeyStore, "commit" | "migration">;
  readonly clock: Pick<Clock, "storeNowMs" | "applyStoreTime">;
  readonly log: Log;
}

/** Keeps this instance's migration phase, the store's and the policy's in step. */
export interface MigrationPhase {
  /** Applies the stored phase. If the store has lost the phase, writes back the phase that is active here; the next call retries a failure. */
  onStored(state: MigrationState | undefined): Promise<void>;
  /** Applies the stored phase, and stores the policy's phase unless an operator has chosen one. Call for each new policy. */
  applyPolicy(policy: Policy): Promise<void>;
  /** Does the same without a result. If the store does not take the phase, the known one stays in force and a warning is logged. */
  followPolicy(policy: Policy): void;
}

export function createMigrationPhase({ migration, keys, clock, log }: MigrationPhaseDeps): MigrationPhase {
  const step = createStep({ keys, clock });
  const loss = createOutageLog(log, { failed: FAULTS.phaseLost });
  const applyPolicy = async ({ migration: { phase } }: Policy): Promise<void> => {
    for (;;) {
      const from = await keys.migration();
      if (from !== undefined) migration.applyState(from);
      // It is newer than the stored one if the store has lost it. `onStored` then writes it back.
      const known = migration.state();
      if (known.chosen || (from !== undefined && known.phase === phase)) return;
      const nowSeconds = Math.floor(clock.storeNowMs() / 1000);
      // The version is not that of the time: another instance may know an operator's step that the store has lost.
      const to = enterPhase(known, phase, false, nowSeconds);
      const audit = phase === "silent" && from === undefined ? [] : [phaseEvent(phase, clock)];
      if (!(await step({ from, to }, audit))) continue;
      migration.applyState(to);
      return;
    }
  };
  return {
    applyPolicy,
    followPolicy: (policy) =>
      void applyPolicy(policy).catch((error: unknown) => log.warn({ err: error }, FAULTS.phaseNotApplied)),
    async onStored(from) {
      const to = migration.state();
      if ((from?.version ?? 0) >= to.version) {
        loss.works();
        if (from !== undefined) migration.applyState(from);
        return;
      }
      try {
        // In a conflict, another instance has written the phase back, or its step is in the feed.
        await step({ from, to }, []);
      } catch (error) {
        loss.failed({ err: error });
      }
    },
  };
}

/**
 * Stores a step. Resolves to false if the store has another phase or time than the step is based on. Throws {@link RegistryFrozen} if
 * a freeze stops the step: it may last for minutes.
 */
function createStep({ keys, clock }: Pick<MigrationPhaseDeps, "keys" | "clock">) {
  return async (migration: MigrationStep, audit: readonly AuditEvent[]): Promise<boolean> => {
    const nowSeconds = Math.floor(clock.storeNowMs() / 1000);
    const outcome = await keys.commit({ nowSeconds, put: [], migration, audit });
    if (outcome.kind === "clock") clock.applyStoreTime(outcome.nowMs);
    if (outcome.kind === "frozen") throw new RegistryFrozen(Math.max(1, outcome.until - nowSeconds));
    return outcome.kind === "committed";
  };
}

function phaseEvent(phase: string, clock: Pick<Clock, "storeNowMs">): AuditEvent {
  return {
    eventId: randomText(),
    atMs: clock.storeNowMs(),
    event: "migration_phase_set",
    outcome: "done",
    reason: phase,
    actor: "policy",
  };
}
