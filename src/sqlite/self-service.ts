import type { DatabaseSync } from "node:sqlite";
import { integer } from "./rows.ts";
import { inTransaction } from "./transaction.ts";

/**
 * Returns a function that checks the next `limit` self-service keys, releases those that no longer count, and returns their
 * number. A commit releases single keys that end. Keys that ended with their family or by a cut-off are found here.
 */
export function createRelease(sqlite: DatabaseSync): (limit: number) => number {
  const part =
    "SELECT seq, family, role, owner, issued_at FROM keys WHERE self_service = 1 AND seq > ? ORDER BY seq LIMIT ?";
  const check = sqlite.prepare(`SELECT count(*) AS checked, coalesce(max(seq), 0) AS last FROM (${part})`);
  const cutOff = (scope: string, subject: string) =>
    `EXISTS (SELECT 1 FROM cut_offs WHERE scope = '${scope}' AND subject = ${subject} AND before > part.issued_at)`;
  const release = sqlite.prepare(
    `UPDATE keys SET self_service = 0 WHERE seq IN (SELECT seq FROM (${part}) AS part
     WHERE EXISTS (SELECT 1 FROM ended_families WHERE family = part.family) OR ${cutOff("all", "''")}
     OR ${cutOff("role", "part.role")} OR ${cutOff("owner", "coalesce(part.owner, part.family)")})`,
  );
  let cursor = 0;
  return (limit) =>
    inTransaction(sqlite, () => {
      const checked = check.get(cursor, limit);
      const released = Number(release.run(cursor, limit).changes);
      cursor = checked === undefined || integer(checked, "checked") < limit ? 0 : integer(checked, "last");
      return released;
    });
}
