import type { AuditEvent } from "../core/audit/audit-event.ts";
import type { Clock } from "../core/clock.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import type { KeyRecord, LegacyPart } from "../core/keys/key-record.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { Migration, MigrationState, MigrationStep } from "../core/legacy/migration.ts";
import { createMigration, enterPhase } from "../core/legacy/migration.ts";
import type { LegacyForm } from "../core/legacy/ports.ts";
import type { Policy } from "../core/policy/policy.ts";
import { createLegacyVerifier } from "../legacy/verifier.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import { randomText } from "./random-id.ts";
import type { LegacyEntry } from "./stores.ts";

/** V1 keys that are kept verified: some 500 bytes each. */
const CACHE_SIZE = 100_000;
/** Longer than Envoy waits. A store that stands still must not gather Checks until there is no place for others. */
const WAIT_MS = 1000;

/** What an instance has for V1 keys. */
export interface LegacyServices {
  readonly migration: Migration;
  readonly verifier: KeyVerifier;
  /** Takes in what other instances tell. */
  onFeedEntry(entry: LegacyEntry): void;
  /** Something may not have been heard: reads it anew, and gives a store that has lost the phase the one that held here. */
  resync(): Promise<void>;
  /** Takes in which phase the store has; gives back one that it has lost, and tries again at each next word until it is taken. */
  stored(state: MigrationState | undefined): Promise<void>;
  /** Takes up the stored phase, and the policy's where nobody has chosen another one; repeats at each new policy. */
  followPolicy(policy: Policy): Promise<void>;
}

/** Verifies V1 keys and knows how far they are on their way out. The store is there later than those who tell. */
export function createLegacyServices(
  form: LegacyForm,
  store: () => KeyStore,
  clock: StoreClock,
  log: Log,
): LegacyServices {
  const migration = createMigration();
  const verifier = createLegacyVerifier({
    form,
    find: (hashes) => store().findLegacy(hashes),
    onOutdatedHash: (record, kept) => {
      rehash(store(), clock, record, kept).catch((error: unknown) =>
        log.warn({ err: error }, FAULTS.notRehashed),
      );
    },
    monotonicMs: () => performance.now(),
    waitMs: WAIT_MS,
    cacheSize: CACHE_SIZE,
  });
  const phase = createPhase(migration, store, clock, log);
  return {
    migration,
    verifier,
    onFeedEntry(entry) {
      if (entry.kind === "phase") migration.applyState(entry.state);
      else verifier.forget(entry.keyIds);
    },
    async resync() {
      verifier.revalidateAll();
      await phase.stored(await store().migration());
    },
    ...phase,
  };
}

function createPhase(
  migration: Migration,
  store: () => KeyStore,
  clock: StoreClock,
  log: Log,
): Pick<LegacyServices, "stored" | "followPolicy"> {
  const step = createSteps(store, clock);
  let said = false;
  return {
    async stored(from) {
      const to = migration.state();
      if ((from?.version ?? 0) >= to.version) {
        said = false;
        if (from !== undefined) migration.applyState(from);
        return;
      }
      try {
        // A conflict is another instance that gives it back, or a step that is heard of.
        await step({ from, to }, []);
      } catch (error) {
        if (!said) log.warn({ err: error }, FAULTS.phaseLost);
        said = true;
      }
    },
    async followPolicy({ migration: { phase } }) {
      for (;;) {
        const from = await store().migration();
        if (from !== undefined) migration.applyState(from);
        if (from?.chosen || from?.phase === phase) return;
        const nowSeconds = Math.floor(clock.storeNowMs() / 1000);
        const to = enterPhase(from, phase, false, nowSeconds, migration.state().version);
        const audit = phase === "silent" && from === undefined ? [] : [phaseEvent(phase, clock)];
        if (!(await step({ from, to }, audit))) continue;
        return migration.applyState(to);
      }
    },
  };
}

type StoreClock = Pick<Clock, "storeNowMs" | "applyStoreTime">;

/** Stores a step. False when the store has another phase or time than it was decided on: read again. */
function createSteps(store: () => KeyStore, clock: StoreClock) {
  return async (migration: MigrationStep, audit: readonly AuditEvent[]): Promise<boolean> => {
    const nowSeconds = Math.floor(clock.storeNowMs() / 1000);
    const outcome = await store().commit({ nowSeconds, put: [], migration, audit });
    if (outcome.kind === "clock") clock.applyStoreTime(outcome.nowMs);
    return outcome.kind === "committed";
  };
}

function phaseEvent(phase: string, clock: StoreClock): AuditEvent {
  return {
    eventId: randomText(),
    atMs: clock.storeNowMs(),
    event: "migration_phase_set",
    outcome: "done",
    reason: phase,
    actor: "policy",
  };
}

/** Another instance may have done so already: then there is nothing to do. */
async function rehash(
  store: KeyStore,
  clock: StoreClock,
  record: KeyRecord,
  kept: LegacyPart,
): Promise<void> {
  const current = await store.load(record.keyId);
  if (current?.legacy === undefined || current.legacy.hash === kept.hash) return;
  const former = [current.legacy.hash, current.legacy.alias].filter((hash) => hash !== undefined);
  await store.commit({
    nowSeconds: Math.floor(clock.storeNowMs() / 1000),
    put: [{ ...current, legacy: { ...current.legacy, ...kept }, version: current.version + 1 }],
    forgetHashes: former.filter((hash) => hash !== kept.hash && hash !== kept.alias),
    audit: [],
  });
}
