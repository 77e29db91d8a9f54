import type { DatabaseSync } from "node:sqlite";
import type { EndReader } from "../core/keys/ports.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { Ending } from "../core/revocation/revocation.ts";
import { integer } from "./rows.ts";

export function createEndReader(sqlite: DatabaseSync, nowMs: () => number): EndReader {
  const family = sqlite.prepare("SELECT until FROM ended_families WHERE family = ?");
  const cutOff = sqlite.prepare(
    `SELECT before, until, (SELECT CAST(value AS INTEGER) FROM shared_state WHERE name = 'newest_date') AS newest
     FROM cut_offs WHERE scope = ? AND subject = ?`,
  );
  return {
    async findEnd(of) {
      if (of.kind === "family") {
        const row = family.get(of.family);
        return row && { end: { ...of, until: integer(row, "until") }, isBeyondIssued: true };
      }
      const row = cutOff.get(of.scope, of.subject);
      if (row === undefined) return undefined;
      const before = integer(row, "before");
      const { newest } = row;
      return {
        end: { ...of, before, until: integer(row, "until") },
        // The store does not know all dates: other issuers date their own tokens, and a failover may have lost some.
        isBeyondIssued: typeof newest === "number" && Math.max(newest, Math.floor(nowMs() / 1000)) < before,
      };
    },
  };
}

export function createEndWriter(sqlite: DatabaseSync): (end: Ending) => void {
  const family = sqlite.prepare(
    "INSERT INTO ended_families (family, until) VALUES (?, ?) ON CONFLICT (family) DO UPDATE SET until = max(until, excluded.until)",
  );
  const cutOff = sqlite.prepare(
    `INSERT INTO cut_offs (scope, subject, before, until) VALUES (?, ?, ?, ?)
     ON CONFLICT (scope, subject) DO UPDATE SET before = max(before, excluded.before), until = max(until, excluded.until)`,
  );
  const key = sqlite.prepare(
    `INSERT INTO ended_keys (key_id, standing, until) VALUES (?, ?, ?)
     ON CONFLICT (key_id) DO UPDATE SET standing = excluded.standing, until = max(until, excluded.until)`,
  );
  return (end) => {
    if (end.kind === "family") family.run(end.family, end.until);
    else if (end.kind === "key") key.run(end.keyId, encodeFeedEntry(end), end.expiresAt);
    else cutOff.run(end.scope, end.subject, end.before, end.until);
  };
}
