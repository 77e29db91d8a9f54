import type { Principal } from "../decision/principal.ts";
import type { PackedKeyMap } from "./packed-key-map.ts";
import { createPackedKeyMap } from "./packed-key-map.ts";
import { DISABLED, merge, pack, REVOKED, samePacked, unpack } from "./packed-restriction.ts";
import type { CutOff, CutOffSubject, Ending, EndReason, KeyRestriction, Revocation } from "./revocation.ts";

/** Awaited between two steps of a long loop. Resolves after other tasks of the event loop have run. */
export type NextTurn = () => Promise<void>;

/** Entries per step, which take less than a millisecond. */
const STEP = 1000;

/** Everything that ends keys, in memory, so that a Check reads no record. */
export interface RevocationView {
  /**
   * Applies revocations in any order and any number of times. Restrictions of one key are merged: a revocation and the end of
   * an overlap are permanent, and `disabled` follows the newest one. If two have the same version, the stricter one counts.
   */
  apply(revocations: Iterable<Revocation>): void;
  /** Why a key is denied; undefined for a valid key. */
  endReason(principal: Principal, nowMs: number): EndReason | undefined;
  /** Whether applying the revocation would change nothing. */
  includes(revocation: Revocation): boolean;
  /** All entries, to be written back to a store that has lost them. The view may change during the iteration. */
  entries(): Iterable<Ending>;
  /** NumericDate: keys of this role and owner with an earlier `iat` are revoked. 0 without a cut-off. */
  cutOffBefore(of: CutOffSubject): number;
  /**
   * The restriction of one key. That a key is valid again is also kept until its `exp`, so that no older restriction applies
   * again.
   */
  standing(keyId: string): KeyRestriction | undefined;
  /**
   * Forgets what expired before a time (milliseconds), which must be in the past of every clock. Keys that expired by then stay
   * denied. Yields between steps.
   */
  sweep(beforeMs: number, nextTurn: NextTurn): Promise<void>;
  /** The number of entries. */
  size(): number;
}

export function createRevocationView(): RevocationView {
  const keys = createPackedKeyMap();
  const families = new Map<string, number>();
  const cutOffs = new Map<string, CutOff>();
  let forgotten = 0;
  return {
    apply(revocations) {
      for (const revocation of revocations) {
        if (revocation.kind === "key") applyRestriction(keys, revocation);
        else if (revocation.kind === "forgotten") forgotten = Math.max(forgotten, revocation.before);
        else if (revocation.kind === "family")
          families.set(revocation.family, Math.max(families.get(revocation.family) ?? 0, revocation.until));
        else if (knownCutOff(cutOffs, revocation) < revocation.before)
          cutOffs.set(cutOffId(revocation), revocation);
      }
    },
    endReason: (principal, nowMs) => endReasonOf({ keys, families, cutOffs, forgotten }, principal, nowMs),
    includes(revocation) {
      if (revocation.kind === "forgotten") return forgotten >= revocation.before;
      if (revocation.kind === "key") {
        const known = keys.get(revocation.keyId);
        return known !== undefined && samePacked(known, merge(known, pack(revocation)));
      }
      return revocation.kind === "family"
        ? (families.get(revocation.family) ?? 0) >= revocation.until
        : knownCutOff(cutOffs, revocation) >= revocation.before;
    },
    *entries() {
      for (const [keyId, packed] of keys.entries()) yield unpack(keyId, packed);
      for (const [family, until] of families) yield { kind: "family", family, until };
      for (const cutOff of cutOffs.values()) yield { ...cutOff, kind: "cutoff" };
    },
    cutOffBefore: (of) => cutOffBefore(of, cutOffs),
    standing(keyId) {
      const packed = keys.get(keyId);
      return packed && unpack(keyId, packed);
    },
    async sweep(beforeMs, nextTurn) {
      const before = Math.floor(beforeMs / 1000);
      forgotten = Math.max(forgotten, before);
      await inSteps(keys.entries(), nextTurn, ([keyId, { expiresAt }]) => {
        if (expiresAt <= before) keys.delete(keyId);
      });
      await inSteps(families, nextTurn, ([family, until]) => {
        if (until <= before) families.delete(family);
      });
      await inSteps(cutOffs, nextTurn, ([id, { until }]) => {
        if (until <= before) cutOffs.delete(id);
      });
    },
    size: () => keys.size() + families.size + cutOffs.size,
  };
}

/** Visits each entry, and yields to other tasks after each step. */
export async function inSteps<Entry>(
  entries: Iterable<Entry>,
  nextTurn: NextTurn,
  visit: (entry: Entry) => void,
): Promise<void> {
  let visited = 0;
  for (const entry of entries) {
    visit(entry);
    if (++visited % STEP === 0) await nextTurn();
  }
}

interface Known {
  readonly keys: Pick<PackedKeyMap, "get">;
  readonly families: ReadonlyMap<string, number>;
  readonly cutOffs: ReadonlyMap<string, CutOff>;
  readonly forgotten: number;
}

function endReasonOf(known: Known, principal: Principal, nowMs: number): EndReason | undefined {
  const { keys, families, cutOffs, forgotten } = known;
  // The revocation of this key may have been forgotten, so the key stays denied even if a clock steps back.
  if (principal.expiresAt <= forgotten) return "key_expired";
  const { flags = 0, notAfter = 0 } = keys.get(principal.keyId) ?? {};
  if (flags & REVOKED || families.has(principal.family)) return "key_revoked";
  if (cutOffs.size > 0 && principal.issuedAt < cutOffBefore(principal, cutOffs)) return "key_revoked";
  if (flags & DISABLED) return "key_disabled";
  return notAfter !== 0 && nowMs >= notAfter * 1000 ? "key_superseded" : undefined;
}

function cutOffBefore({ role, owner, family }: CutOffSubject, cutOffs: Known["cutOffs"]): number {
  const ids = ["all:", `role:${role}`, `owner:${owner ?? family}`];
  return Math.max(...ids.map((id) => cutOffs.get(id)?.before ?? 0));
}

function cutOffId({ scope, subject }: CutOff): string {
  return `${scope}:${subject}`;
}

/** NumericDate of the known cut-off with the same scope and subject; 0 if there is none. */
function knownCutOff(cutOffs: Known["cutOffs"], cutOff: CutOff): number {
  return cutOffs.get(cutOffId(cutOff))?.before ?? 0;
}

function applyRestriction(keys: PackedKeyMap, restriction: KeyRestriction): void {
  const known = keys.get(restriction.keyId);
  const packed = pack(restriction);
  keys.set(restriction.keyId, known === undefined ? packed : merge(known, packed));
}
