import type { DatabaseSync } from "node:sqlite";
import { ownerOf } from "../core/decision/principal.ts";
import type { CommitRequirement } from "../core/keys/key-change.ts";
import { NEVER } from "../core/keys/key-record.ts";
import type { CutOff } from "../core/revocation/revocation.ts";
import { createOwnerKeyCount } from "./owner-keys.ts";
import { integer } from "./rows.ts";
import { TransactionAborted } from "./transaction.ts";

/** Checks the requirements of a change. Throws {@link TransactionAborted} if one does not hold. */
export function createRequirements(
  sqlite: DatabaseSync,
): (requirement: CommitRequirement, nowSeconds: number) => void {
  const familyEnd = sqlite.prepare("SELECT 1 FROM ended_families WHERE family = ?");
  const cutOff = sqlite.prepare(
    `SELECT max(before) AS before FROM cut_offs
     WHERE (scope = 'all' OR (scope = 'role' AND subject = ?) OR (scope = 'owner' AND subject = ?)) AND before > ?`,
  );
  const live = sqlite.prepare(
    "SELECT count(*) AS live FROM keys WHERE self_service = 1 AND expires_at > ? AND expires_at <= ?",
  );
  const owned = {
    active: createOwnerKeyCount(sqlite, "active"),
    overlap: createOwnerKeyCount(sqlite, "overlap"),
  };
  return ({ living, selfServiceBelow, ownedBelow, legacyEnded = false }, nowSeconds) => {
    if (living !== undefined) {
      if (familyEnd.get(living.family) !== undefined) throw new TransactionAborted({ kind: "ended" });
      const before = cutOff.get(living.role, ownerOf(living), living.issuedAt)?.["before"];
      if (typeof before === "number") throw new TransactionAborted({ kind: "ended", before });
    }
    if (ownedBelow && owned[ownedBelow.as](ownedBelow.owner, nowSeconds, legacyEnded) >= ownedBelow.below)
      throw new TransactionAborted({ kind: "owner_full" });
    if (selfServiceBelow === undefined) return;
    const row = live.get(nowSeconds, legacyEnded ? NEVER - 1 : NEVER);
    if (row === undefined || integer(row, "live") >= selfServiceBelow)
      throw new TransactionAborted({ kind: "full" });
  };
}

/** Throws {@link TransactionAborted} unless the cut-off is later than every issue date of the keys that it concerns. */
export function createBeyondIssued(sqlite: DatabaseSync, nowMs: () => number): (cutOff: CutOff) => void {
  const stored = sqlite.prepare("SELECT before FROM cut_offs WHERE scope = ? AND subject = ?");
  const newest = sqlite.prepare("SELECT value FROM shared_state WHERE name = ?");
  return ({ scope, subject, before }) => {
    // Keys of other owners that their own cut-offs date ahead must not move this owner's cut-off ahead.
    const name = scope === "owner" ? "newest_uncut_date" : "newest_date";
    const dates = [stored.get(scope, subject)?.["before"], newest.get(name)?.["value"]];
    const known = dates.map((date) => Number(date ?? 0));
    const least = Math.max(Math.floor(nowMs() / 1000), ...known) + 1;
    if (before < least) throw new TransactionAborted({ kind: "early", before: least });
  };
}
