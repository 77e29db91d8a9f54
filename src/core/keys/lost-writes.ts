import type { AuditEvent, AuditEventName } from "../audit/audit-event.ts";
import type { LegacyKeyReader } from "../legacy/ports.ts";
import { restrictionOf } from "../revocation/revocation.ts";
import type { AcknowledgedChange, ChangeMemory } from "./change-memory.ts";
import type { CommitDeps } from "./commit.ts";
import { commit, RegistryBusy, retryOnConflict } from "./commit.ts";
import { nowSeconds } from "./key-dates.ts";
import type { KeyRecord } from "./key-record.ts";
import type { LostWriteOutcome } from "./lost-record.ts";
import { mergeLost, worstOf } from "./lost-record.ts";
import type { KeyReader, KeyWriter, LostWriteStore, RememberedCallReader } from "./ports.ts";

export interface LostWriteDeps extends CommitDeps {
  readonly store: KeyReader & KeyWriter & RememberedCallReader & LegacyKeyReader & LostWriteStore;
  readonly memory: ChangeMemory;
  /** Called for each change that the store had lost, once its audit events are in the store again. */
  readonly onEntered: (outcome: LostWriteOutcome) => void;
  /** Called with the number of changes that the store may have lost as well, and that were forgotten before. */
  readonly onUnremembered: (changes: number) => void;
}

const PATCHES: ReadonlySet<AuditEventName> = new Set(["key_changed", "key_disabled", "key_enabled"]);
/** Changes that are looked up at a time. */
const PORTION = 100;

/**
 * Enters the acknowledged changes again that the store has lost. Each change is complete once its audit events are in the
 * store, so the work can be interrupted and repeated. Rejects at once if the store is unavailable, and at the end with
 * {@link RegistryBusy} if a change must be entered later.
 */
export async function enterLostWrites(deps: LostWriteDeps): Promise<void> {
  const changes = deps.memory.all();
  const newest = newestRecords(changes);
  let busy: RegistryBusy | undefined;
  for (let start = 0; start < changes.length; start += PORTION) {
    const portion = changes.slice(start, start + PORTION);
    const present = await deps.store.holdChanges(portion);
    const lost = portion.filter((_, at) => present[at] !== true);
    // A store loses its last writes. If it has the first change of the memory, it has all earlier ones.
    if (lost[0] === changes[0]) reportForgotten(deps);
    for (const change of lost) {
      try {
        await enterChange(deps, change, newest);
      } catch (error) {
        // One key that others keep changing must not hold up the rest.
        if (!(error instanceof RegistryBusy)) throw error;
        busy = error;
      }
    }
  }
  if (busy !== undefined) throw busy;
}

/**
 * The last state of each key. The order of the memory is not that of the changes: one that could not be entered at first comes
 * after those that were.
 */
function newestRecords(changes: readonly AcknowledgedChange[]): ReadonlyMap<string, KeyRecord> {
  const newest = new Map<string, KeyRecord>();
  for (const record of changes.flatMap(({ put }) => put)) {
    const known = newest.get(record.keyId);
    if (known === undefined || orderOf(known) <= orderOf(record)) newest.set(record.keyId, record);
  }
  return newest;
}

/** Higher after each change of a key, although the store repeats versions after a loss. */
function orderOf(record: KeyRecord): number {
  return restrictionOf(record).version;
}

function reportForgotten({ memory, onUnremembered }: LostWriteDeps): void {
  const forgotten = memory.takeForgottenEarly();
  if (forgotten > 0) onUnremembered(forgotten);
}

async function enterChange(
  deps: LostWriteDeps,
  change: AcknowledgedChange,
  newest: ReadonlyMap<string, KeyRecord>,
): Promise<void> {
  const isPatch = change.audit.some(({ event }) => PATCHES.has(event));
  const outcomes: LostWriteOutcome[] = [];
  // New keys come first: their tokens are out.
  for (const { keyId } of change.put.toSorted((a, b) => a.version - b.version)) {
    const record = newest.get(keyId);
    if (record !== undefined) outcomes.push(await enterRecord(deps, record, isPatch));
  }
  // The freeze would have to begin again, and its copy too.
  const outcome = change.freeze === undefined ? worstOf(outcomes) : "not_applied";
  deps.memory.renew(change, await enterAudit(deps, change, outcome));
  deps.onEntered(outcome);
}

function enterRecord(deps: LostWriteDeps, lost: KeyRecord, isPatch: boolean): Promise<LostWriteOutcome> {
  return retryOnConflict<LostWriteOutcome>(async () => {
    const stored = await deps.store.load(lost.keyId);
    if (stored !== undefined) {
      const merged = mergeLost(stored, lost, isPatch);
      if (merged.record === stored) return merged.outcome;
      const outcome = await commit(deps, { put: [merged.record], audit: [], isLost: true });
      return outcome.kind === "committed" ? merged.outcome : "conflict";
    }
    if (lost.expiresAt <= nowSeconds(deps)) return "restored";
    if (await isUnderAnotherId(deps, lost)) return "conflicting";
    const outcome = await deps.store.enter(lost, nowSeconds(deps));
    if (outcome.kind === "clock") deps.storeClock.applyStoreTime(outcome.nowMs);
    if (outcome.kind !== "entered") return "conflict";
    return outcome.record.revokedAt === lost.revokedAt ? "entered" : "entered_revoked";
  });
}

/** The same V1 key may have been imported again. */
async function isUnderAnotherId({ store }: LostWriteDeps, { legacy }: KeyRecord): Promise<boolean> {
  if (legacy === undefined) return false;
  const hashes = [legacy.hash, legacy.alias].filter((hash) => hash !== undefined);
  return (await store.findLegacy(hashes)) !== undefined;
}

/** Writes the audit events and the call of a change, which completes it. Returns the change as the store has it now. */
function enterAudit(
  deps: LostWriteDeps,
  change: AcknowledgedChange,
  outcome: LostWriteOutcome,
): Promise<AcknowledgedChange> {
  const events = change.audit.filter(({ event }) => event !== "write_lost");
  const audit = [...events, lostEvent(events[0], change.put[0], outcome, deps.storeClock.storeNowMs())];
  const hasLegacy = change.put.some(({ legacy }) => legacy !== undefined);
  return retryOnConflict<AcknowledgedChange>(async () => {
    const remember = await forgottenCall(deps, change);
    const written = await commit(deps, {
      put: [],
      audit,
      ...(remember && { remember }),
      // Other instances may have cached that the V1 key is unknown.
      ...(hasLegacy && { feedEntries: [{ kind: "legacy", keyIds: [] }] }),
    });
    const { auditCursor } = written.kind === "committed" ? written : {};
    return auditCursor === undefined ? "conflict" : { ...change, audit, auditCursor };
  });
}

async function forgottenCall(deps: LostWriteDeps, { remember }: AcknowledgedChange) {
  const now = nowSeconds(deps);
  if (remember === undefined || remember.until <= now) return undefined;
  return (await deps.store.recall(remember.id, now)) === undefined ? remember : undefined;
}

/** Its id follows from the change, so that an event that is written twice has one id. */
function lostEvent(
  first: AuditEvent | undefined,
  record: KeyRecord | undefined,
  outcome: LostWriteOutcome,
  atMs: number,
): AuditEvent {
  const isEffective = outcome !== "not_applied" && outcome !== "conflicting";
  const subject: Partial<AuditEvent> = first ?? record ?? {};
  const { keyId, family, owner, role, plan, actor = "unknown" } = subject;
  return {
    eventId: `${first?.eventId ?? record?.keyId ?? "unknown"}.lost`,
    atMs,
    event: "write_lost",
    outcome: isEffective ? "done" : "refused",
    reason: `${first?.event ?? "key_handed_out"} ${outcome}`,
    actor,
    ...(keyId !== undefined && { keyId }),
    ...(family !== undefined && { family }),
    ...(owner !== undefined && { owner }),
    ...(role !== undefined && { role }),
    ...(plan !== undefined && { plan }),
  };
}
