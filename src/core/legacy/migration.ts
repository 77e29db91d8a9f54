import type { Principal } from "../decision/principal.ts";

/** The phases of the migration from V1 keys. Every step can be reversed. */
export const PHASES = ["silent", "gradual", "active", "deprecated", "removed"] as const;
export type Phase = (typeof PHASES)[number];

/** The policy's `migration`. */
export interface MigrationPlan {
  readonly phase: Phase;
  /** How long an exchanged V1 key stays valid after its exchange or the entry into `deprecated`, whichever is later. */
  readonly overlapSeconds: number;
  /** NumericDate of the planned end of V1 keys (RFC 8594). */
  readonly sunset: number;
  /** NumericDate until which a V1 key can be exchanged in the phase `removed`. */
  readonly migrateUntil: number;
}

/** The state that all instances share. */
export interface MigrationState {
  readonly phase: Phase;
  /** An operator has chosen the phase, so the policy's phase is ignored. */
  readonly chosen: boolean;
  /** NumericDate of the latest entry into `deprecated`, while that or `removed` lasts. */
  readonly deprecatedAt?: number;
  /** Increases with each step, so that an instance can ignore an older state. 0: no phase is stored. */
  readonly version: number;
}

/** One step of the phase. It fails if the stored state is not `from`. */
export interface MigrationStep {
  readonly from: MigrationState | undefined;
  readonly to: MigrationState;
}

export function isPhase(text: string): text is Phase {
  return PHASES.some((phase) => phase === text);
}

/**
 * The state after a step.
 * @param leastVersion above the version of each step that this one supersedes, although the store may have lost it
 */
export function enterPhase(
  current: MigrationState | undefined,
  phase: Phase,
  chosen: boolean,
  nowSeconds: number,
  leastVersion = 0,
): MigrationState {
  const deprecated = phase === "deprecated" || phase === "removed";
  return {
    phase,
    chosen,
    ...(deprecated && { deprecatedAt: current?.deprecatedAt ?? nowSeconds }),
    version: Math.max((current?.version ?? 0) + 1, leastVersion),
  };
}

/** Why a V1 key is denied in this phase; undefined if it is valid. */
export function endedByPhase(
  { legacy }: Principal,
  state: MigrationState,
  plan: MigrationPlan,
  nowMs: number,
): "legacy_key_removed" | "key_superseded" | undefined {
  if (legacy === undefined) return undefined;
  const { phase, deprecatedAt } = state;
  if (legacy.migratedAt !== undefined && deprecatedAt !== undefined) {
    const from = Math.max(legacy.migratedAt, deprecatedAt) + plan.overlapSeconds;
    if (nowMs >= from * 1000) return "key_superseded";
  }
  return phase === "removed" && legacy.migratedAt === undefined ? "legacy_key_removed" : undefined;
}

/** Whether a V1 key can still be exchanged for a V2 key. */
export function mayMigrate(state: MigrationState, plan: MigrationPlan, nowMs: number): boolean {
  return state.phase !== "removed" || nowMs < plan.migrateUntil * 1000;
}

/** The dates in a response to the holder of a V1 key. */
export interface LegacyNotice {
  /** RFC 9745, NumericDate. */
  readonly deprecatedAt?: number;
  /** RFC 8594, NumericDate. */
  readonly sunset?: number;
}

/** Undefined for V2 keys and in phases without a notice. */
export function legacyNotice(
  principal: Principal | undefined,
  { phase, deprecatedAt }: MigrationState,
  plan: MigrationPlan,
): LegacyNotice | undefined {
  if (principal?.legacy === undefined || phase === "silent" || phase === "gradual") return undefined;
  return deprecatedAt === undefined ? {} : { deprecatedAt, sunset: plan.sunset };
}

/** The state on this instance, which is read at each use of a V1 key. */
export interface Migration {
  state(): MigrationState;
  /** Takes a stored state. An older version is ignored. Of two states with the same version the stored one wins. */
  applyState(state: MigrationState): void;
}

export function createMigration(
  first: MigrationState = { phase: "silent", chosen: false, version: 0 },
): Migration {
  let current = first;
  return {
    state: () => current,
    applyState(state) {
      if (state.version >= current.version) current = state;
    },
  };
}

/** The state before a phase is stored: the policy's phase. */
export function initialState(
  { migration }: { readonly migration: MigrationPlan },
  nowSeconds: number,
): MigrationState {
  return enterPhase(undefined, migration.phase, false, nowSeconds);
}
