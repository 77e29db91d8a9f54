import type { DatabaseSync } from "node:sqlite";
import type { OwnerCount } from "../core/keys/key-record.ts";
import { NEVER } from "../core/keys/key-record.ts";
import { integer } from "./rows.ts";

/** Returns a function that counts the keys of an owner that count as active, or that overlap, without those that ended with their family or by a cut-off. */
export function createOwnerKeyCount(
  sqlite: DatabaseSync,
  as: OwnerCount["as"],
): (owner: string, nowSeconds: number, legacyEnded: boolean) => number {
  const until = as === "active" ? "owned_until" : "overlap_until";
  const count = sqlite.prepare(
    `SELECT count(*) AS owned FROM keys WHERE owner = ? AND ${until} > ? AND ${until} <= ?
     AND NOT EXISTS (SELECT 1 FROM ended_families WHERE family = keys.family)
     AND NOT EXISTS (SELECT 1 FROM cut_offs WHERE before > keys.issued_at
       AND (scope = 'all' OR (scope = 'role' AND subject = keys.role) OR (scope = 'owner' AND subject = keys.owner)))`,
  );
  return (owner, nowSeconds, legacyEnded) => {
    const row = count.get(owner, nowSeconds, legacyEnded ? NEVER - 1 : NEVER);
    return row === undefined ? 0 : integer(row, "owned");
  };
}
