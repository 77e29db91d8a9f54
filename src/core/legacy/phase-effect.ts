import type { MigrationPlan, MigrationState, Phase } from "./migration.ts";
import { PHASES } from "./migration.ts";
import type { LegacyUse } from "./ports.ts";

/** What a phase does to the V1 keys that exist now, and to clients. */
export interface PhaseEffect {
  readonly phase: Phase;
  /** Valid until something else ends them. */
  readonly valid: number;
  /** Exchanged keys, which end at {@link endsFrom} or after their own overlap, whichever is later. */
  readonly ending: number;
  /** NumericDate; undefined if `ending` is 0. */
  readonly endsFrom: number | undefined;
  /** Denied at once: the keys that were not exchanged. */
  readonly denied: number;
  /** Of the denied ones: how many were used since each requested moment. */
  readonly deniedUsed: readonly number[];
  /** Whether responses to V1 keys announce V2 keys or the end of V1 keys. */
  readonly announces: boolean;
  /** What a registration of a V1 key issues. `negotiated`: a V2 key to a client that sends `Accept-Key-Version: 2`. */
  readonly issues: (typeof ISSUED_KEYS)[number];
}

export const ISSUED_KEYS = ["v1", "negotiated", "none"] as const;

/** The effect of each phase, if it began now. `uses` has the V1 keys of each role. */
export function phaseEffects(
  uses: readonly LegacyUse[],
  state: MigrationState,
  plan: MigrationPlan,
  nowSeconds: number,
): readonly PhaseEffect[] {
  const [all, unmigrated] = [sumUses(uses), sumUses(uses.map((use) => use.unmigrated))];
  const exchanged = all.keys - unmigrated.keys;
  return PHASES.map((phase) => {
    const endsExchanged = phase === "deprecated" || phase === "removed";
    const isRemoved = phase === "removed";
    const ending = endsExchanged ? exchanged : 0;
    return {
      phase,
      valid: isRemoved ? 0 : all.keys - ending,
      ending,
      endsFrom: ending === 0 ? undefined : (state.deprecatedAt ?? nowSeconds) + plan.overlapSeconds,
      denied: isRemoved ? unmigrated.keys : 0,
      deniedUsed: isRemoved ? unmigrated.used : unmigrated.used.map(() => 0),
      announces: phase !== "silent" && phase !== "gradual",
      issues: isRemoved ? "none" : phase === "silent" ? "v1" : "negotiated",
    };
  });
}

type Use = LegacyUse["unmigrated"];

function sumUses(uses: readonly Use[]): Use {
  const used = uses[0]?.used ?? [];
  return {
    keys: uses.reduce((sum, { keys }) => sum + keys, 0),
    used: used.map((_, at) => uses.reduce((sum, use) => sum + (use.used[at] ?? 0), 0)),
  };
}
