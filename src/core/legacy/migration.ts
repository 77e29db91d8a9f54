import type { Principal } from "../decision/principal.ts";

/** How far V1 keys are on their way out. Every step can be taken back. */
export const PHASES = ["silent", "gradual", "active", "deprecated", "removed"] as const;
export type Phase = (typeof PHASES)[number];

/** The policy's `migration`. */
export interface MigrationPlan {
  readonly phase: Phase;
  /** How long a migrated V1 key stays good, from its migration or the entry into `deprecated`, whichever is later. */
  readonly overlapSeconds: number;
  /** NumericDate of RFC 8594: when V1 keys are planned to end. */
  readonly sunset: number;
  /** NumericDate until which a V1 key can be exchanged, in `removed` too. */
  readonly migrateUntil: number;
}

/** What all instances share of it. */
export interface MigrationState {
  readonly phase: Phase;
  /** An operator has chosen the phase: the policy's counts no more. */
  readonly chosen: boolean;
  /** NumericDate of the latest entry into `deprecated`, while that or `removed` lasts. */
  readonly deprecatedAt?: number;
  /** More with each step: what is heard late is known as such. 0: none is stored. */
  readonly version: number;
}

/** One step of the phase; it is made from what it was decided on, or not at all. */
export interface MigrationStep {
  readonly from: MigrationState | undefined;
  readonly to: MigrationState;
}

export function isPhase(text: string): text is Phase {
  return PHASES.some((phase) => phase === text);
}

/**
 * The state after a step into a phase; the very same one when it is no step. Its version is beyond the time in milliseconds and
 * beyond `known`: a store that has lost its last writes counts on from less, and a newer step must beat the lost one.
 */
export function enterPhase(
  current: MigrationState | undefined,
  phase: Phase,
  chosen: boolean,
  nowSeconds: number,
  known = 0,
): MigrationState {
  if (current?.phase === phase && current.chosen === chosen) return current;
  const deprecated = phase === "deprecated" || phase === "removed";
  return {
    phase,
    chosen,
    ...(deprecated && { deprecatedAt: current?.deprecatedAt ?? nowSeconds }),
    version: Math.max((current?.version ?? 0) + 1, known + 1, nowSeconds * 1000),
  };
}

/** Why a V1 key is refused in this phase; undefined while it is good. */
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

/** What the answer to a V1 key tells its holder. */
export interface LegacyNotice {
  /** RFC 9745, NumericDate. */
  readonly deprecatedAt?: number;
  /** RFC 8594, NumericDate. */
  readonly sunset?: number;
}

/** Undefined while nothing is to be told. */
export function legacyNotice(
  principal: Principal | undefined,
  { phase, deprecatedAt }: MigrationState,
  plan: MigrationPlan,
): LegacyNotice | undefined {
  if (principal?.legacy === undefined || phase === "silent" || phase === "gradual") return undefined;
  return deprecatedAt === undefined ? {} : { deprecatedAt, sunset: plan.sunset };
}

/** Where an instance looks at each use. */
export interface Migration {
  state(): MigrationState;
  /** The store has it. An older one changes nothing; of two with one version the store's wins. */
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
