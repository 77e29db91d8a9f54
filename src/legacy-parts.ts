import type { AuditEvent } from "./core/audit-event.ts";
import type { KeyRecord, LegacyPart } from "./core/key-record.ts";
import type { Migration, MigrationStep } from "./core/migration.ts";
import { createMigration, enterPhase } from "./core/migration.ts";
import type { Policy } from "./core/policy.ts";
import type { KeyStore, KeyVerifier } from "./core/ports.ts";
import type { LegacyForm } from "./core/registry.ts";
import { FAULTS } from "./fault-words.ts";
import { createLegacyVerifier } from "./legacy/verifier.ts";
import { randomText } from "./random.ts";
import type { LegacyEntry } from "./stores.ts";
import type { Log } from "./telemetry/log.ts";

/** V1 keys that are kept verified: some 500 bytes each. */
const CACHE_SIZE = 100_000;

/** What an instance has for V1 keys. */
export interface LegacyParts {
  readonly migration: Migration;
  readonly verifier: KeyVerifier;
  /** Takes in what other instances tell. */
  hear(entry: LegacyEntry): void;
  /** Something may not have been heard: reads it anew, and gives a store that has lost the phase the one that held here. */
  resync(): Promise<void>;
  /** Takes up the stored phase, and the policy's where nobody has chosen another one; repeats at each new policy. */
  followPolicy(policy: Policy): Promise<void>;
}

/** Verifies V1 keys and knows how far they are on their way out. The store is there later than those who tell. */
export function createLegacyParts(form: LegacyForm, store: () => KeyStore, log: Log): LegacyParts {
  const migration = createMigration();
  const verifier = createLegacyVerifier({
    form,
    find: (hashes) => store().findLegacy(hashes),
    outdated: (record, kept) => {
      rehash(store(), record, kept).catch((error: unknown) => log.warn({ err: error }, FAULTS.notRehashed));
    },
    monotonicMs: () => performance.now(),
    cacheSize: CACHE_SIZE,
  });
  return {
    migration,
    verifier,
    hear(entry) {
      if (entry.kind === "phase") migration.heard(entry.state);
      else verifier.forget(entry.keyIds);
    },
    async resync() {
      verifier.distrust();
      const from = await store().migration();
      const to = migration.state();
      if ((from?.version ?? 0) >= to.version) {
        if (from !== undefined) migration.heard(from);
        return;
      }
      // A conflict is another instance that gives it back, or a step that is heard of.
      await step(store(), { from, to }, []).catch((error: unknown) =>
        log.warn({ err: error }, FAULTS.phaseLost),
      );
    },
    async followPolicy({ migration: { phase } }) {
      for (;;) {
        const from = await store().migration();
        if (from !== undefined) migration.heard(from);
        if (from?.chosen || from?.phase === phase) return;
        const to = enterPhase(from, phase, false, Math.floor(Date.now() / 1000));
        const audit = phase === "silent" && from === undefined ? [] : [phaseEvent(phase)];
        if (!(await step(store(), { from, to }, audit))) continue;
        return migration.heard(to);
      }
    },
  };
}

/** False when the store has another phase than it was decided on: read again. */
async function step(
  store: KeyStore,
  migration: MigrationStep,
  audit: readonly AuditEvent[],
): Promise<boolean> {
  const nowSeconds = Math.floor(Date.now() / 1000);
  return (await store.commit({ nowSeconds, put: [], migration, audit })).kind === "committed";
}

function phaseEvent(phase: string): AuditEvent {
  return {
    eventId: randomText(),
    atMs: Date.now(),
    event: "migration_phase_set",
    outcome: "done",
    reason: phase,
    actor: "policy",
  };
}

/** Another instance may have done so already: then there is nothing to do. */
async function rehash(store: KeyStore, record: KeyRecord, kept: LegacyPart): Promise<void> {
  const current = await store.load(record.keyId);
  if (current?.legacy === undefined || current.legacy.hash === kept.hash) return;
  const former = [current.legacy.hash, current.legacy.alias].filter((hash) => hash !== undefined);
  await store.commit({
    nowSeconds: Math.floor(Date.now() / 1000),
    put: [{ ...current, legacy: { ...current.legacy, ...kept }, version: current.version + 1 }],
    forgetHashes: former.filter((hash) => hash !== kept.hash && hash !== kept.alias),
    audit: [],
  });
}
