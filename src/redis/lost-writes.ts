import { decodeEvent } from "../core/audit/audit-event-codec.ts";
import type { AcknowledgedChange } from "../core/keys/change-memory.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import type { LostWriteStore } from "../core/keys/ports.ts";
import { decodeFeedEntry, encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import { restrictRecord } from "../core/revocation/restrict-record.ts";
import { endsKey } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import type { CommitOptions } from "./key-commit.ts";
import { createCommitScript } from "./key-commit.ts";
import type { RegistryKeys } from "./names.ts";
import { texts } from "./replies.ts";

/** Finds what Redis has lost, and enters records again. */
export function createLostWriteStore(client: RedisClient, options: CommitOptions): LostWriteStore {
  const run = createCommitScript(client, options);
  const enterAs = async (lost: KeyRecord, nowSeconds: number) => {
    const standing = await client.command("HGET", client.keys.standings, lost.keyId);
    const known = standing === null ? undefined : decodeFeedEntry(String(standing));
    const { record, restriction } = restrictRecord(
      lost,
      known?.kind === "key" ? known : undefined,
      nowSeconds,
    );
    const requires = record.revokedAt === undefined ? { requires: { living: record } } : {};
    const outcome = await run({ nowSeconds, put: [record], audit: [], isLost: true, ...requires }, (put) => ({
      ...put,
      lost: standing === null ? "" : String(standing),
      entry: encodeFeedEntry(restriction),
      ended: endsKey(restriction),
    }));
    return { record, outcome };
  };
  return {
    async enter(lost, nowSeconds) {
      const first = await enterAs(lost, nowSeconds);
      const { record, outcome } =
        first.outcome.kind === "ended"
          ? await enterAs({ ...lost, revokedAt: nowSeconds }, nowSeconds)
          : first;
      if (outcome.kind === "clock") return outcome;
      return outcome.kind === "committed" ? { kind: "entered", record } : { kind: "conflict" };
    },
    async holdChanges(changes) {
      const replies = await client.commands(changes.map((change) => lookUp(client.keys, change)));
      return replies.map((reply, at) => holds(changes[at], reply));
    },
  };
}

function lookUp(keys: RegistryKeys, { auditCursor, put }: AcknowledgedChange) {
  return auditCursor === undefined
    ? (["EXISTS", keys.key(put[0]?.keyId ?? "")] as const)
    : (["XRANGE", keys.audit, auditCursor, auditCursor] as const);
}

/** A new primary may have given the same position to another event. */
function holds(change: AcknowledgedChange | undefined, reply: unknown): boolean {
  if (change?.auditCursor === undefined) return reply === 1;
  const [entry] = Array.isArray(reply) ? reply : [];
  const [, fields] = Array.isArray(entry) ? entry : [];
  const text = fields === undefined ? undefined : texts(fields)[1];
  return text !== undefined && decodeEvent(text).eventId === change.audit.at(-1)?.eventId;
}
