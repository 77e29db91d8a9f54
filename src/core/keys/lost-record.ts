import type { KeyRecord, LegacyPart } from "./key-record.ts";

/**
 * What became of a change that the store has lost.
 *
 * - `entered`: its keys are in the store again
 * - `entered_revoked`: the same, but a key has ended since
 * - `restored`: its effect was already there, such as a revocation that was written back, or the key has expired
 * - `not_applied`: a change of a name or of metadata, or a freeze or its end, which is not applied again
 * - `conflicting`: the store has another change of the same key instead
 */
export type LostWriteOutcome = (typeof LOST_WRITE_OUTCOMES)[number];

/** From the harmless to what needs an operator. */
export const LOST_WRITE_OUTCOMES = [
  "restored",
  "entered",
  "entered_revoked",
  "not_applied",
  "conflicting",
] as const;

export function worstOf(outcomes: readonly LostWriteOutcome[]): LostWriteOutcome {
  const ranks = outcomes.map((outcome) => LOST_WRITE_OUTCOMES.indexOf(outcome));
  return LOST_WRITE_OUTCOMES[Math.max(0, ...ranks)] ?? "restored";
}

/**
 * Adds to the stored record what the lost one had and what cannot be undone: its successor, its exchange and its end. Returns
 * the stored record itself if nothing is missing. Names and metadata stay as they are stored, because a later change may
 * have replaced them.
 * @param isPatch whether the lost change set the name or the metadata
 */
export function mergeLost(
  stored: KeyRecord,
  lost: KeyRecord,
  isPatch: boolean,
): { readonly record: KeyRecord; readonly outcome: LostWriteOutcome } {
  const successor = stored.successor ?? lost.successor;
  const revokedAt = stored.revokedAt ?? lost.revokedAt;
  const legacy = mergeLegacy(stored.legacy, lost.legacy);
  const isSame = successor === stored.successor && revokedAt === stored.revokedAt && legacy === stored.legacy;
  const record = isSame
    ? stored
    : {
        ...stored,
        ...(successor && { successor }),
        ...(revokedAt !== undefined && { revokedAt }),
        ...(legacy && { legacy }),
        version: stored.version + 1,
      };
  if (lost.successor !== undefined && stored.successor !== undefined) {
    if (lost.successor.keyId !== stored.successor.keyId) return { record, outcome: "conflicting" };
  }
  if (isPatch && (stored.name !== lost.name || stored.metadata !== lost.metadata))
    return { record, outcome: "not_applied" };
  return { record, outcome: isSame ? "restored" : "entered" };
}

/** A V1 key can be exchanged many times. The store's last exchange stays. */
function mergeLegacy(stored: LegacyPart | undefined, lost: LegacyPart | undefined): LegacyPart | undefined {
  if (stored === undefined || lost?.migratedAt === undefined || stored.migratedAt !== undefined)
    return stored;
  const { migratedAt, successorId } = lost;
  return { ...stored, migratedAt, ...(successorId !== undefined && { successorId }) };
}
