import type { AuditEvent } from "../core/audit/audit-event.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { decodeRecord } from "../core/keys/key-record-codec.ts";
import type { LegacyImporter, LegacyKeyReader, LegacyUseReader, PhaseReader } from "../core/legacy/ports.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { RedisClient } from "./client.ts";
import { namesOf, recordToWire, SWEEP_GRACE_SECONDS } from "./commit-wire.ts";
import type { CommitOptions } from "./key-commit.ts";
import type { RegistryKeys } from "./names.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { texts } from "./replies.ts";
import { scriptText } from "./script-text.ts";

const IMPORT_SCRIPT = scriptText("import");
const indexesOf = (keys: RegistryKeys) => [
  keys.sequence,
  keys.byAge,
  keys.byEnd,
  keys.selfService,
  keys.audit,
  keys.newest,
  keys.newestUncut,
  keys.cutOffs,
  keys.freeze,
  keys.byFamily,
];
/** Few enough not to delay Checks. */
const PORTION = 50;

/** The operations on V1 keys. */
export function createLegacy(
  client: RedisClient,
  {
    recordRetentionSeconds,
    onAcknowledged,
  }: Pick<CommitOptions, "recordRetentionSeconds" | "onAcknowledged">,
): LegacyKeyReader & LegacyImporter & LegacyUseReader & PhaseReader {
  const runImport = client.script(IMPORT_SCRIPT, "import");
  const importPortion = async (records: readonly KeyRecord[], event: AuditEvent) => {
    const puts = records.map((record) => recordToWire(record, recordRetentionSeconds + SWEEP_GRACE_SECONDS));
    const names = [...indexesOf(client.keys), ...records.flatMap((record) => namesOf(client.keys, record))];
    const outcomes = texts(await runImport(names, [JSON.stringify(puts), JSON.stringify(event)]));
    if (outcomes[0] === "frozen") return { kind: "frozen", until: Number(outcomes[1]) } as const;
    const [auditCursor = "", ...flags] = outcomes;
    const written = flags.map((flag) => flag === "1");
    const put = records.filter((_, at) => written[at]);
    if (put.length > 0) onAcknowledged?.({ put, audit: [event], auditCursor });
    return written;
  };
  return {
    async findLegacy(hashes) {
      if (hashes.length === 0) return undefined;
      const found = await client.command("MGET", ...hashes.map(client.keys.legacyHash));
      const keyId = (Array.isArray(found) ? found : []).find((id) => typeof id === "string");
      if (typeof keyId !== "string") return undefined;
      const text = await client.command("GET", client.keys.key(keyId));
      return text === null ? undefined : decodeRecord(keyId, String(text));
    },
    async importLegacy(records, audit) {
      const written: boolean[] = [];
      const connection = client.connections();
      for (let start = 0; start < records.length; start += PORTION) {
        const portion = records.slice(start, start + PORTION);
        // Each portion is a separate transaction, so it has its own audit event.
        const event = { ...audit, eventId: `${audit.eventId}.${start / PORTION}` };
        const outcome = await importPortion(portion, event);
        if ("kind" in outcome) return outcome;
        written.push(...outcome);
      }
      // An earlier portion may be on another server, so the following confirmation would not cover it.
      if (client.connections() !== connection)
        throw new RedisUnavailable("connection", "the connection was replaced during an import", {
          cause: undefined,
        });
      return written;
    },
    async legacyUse(role, since) {
      const [all, unmigrated] = await Promise.all([
        usesIn(client, client.keys.legacyUse(role), since),
        usesIn(client, client.keys.legacyUnmigrated(role), since),
      ]);
      return { ...all, unmigrated };
    },
    ...createPhaseReader(client),
  };
}

function createPhaseReader(client: RedisClient): PhaseReader {
  return {
    async migration() {
      const text = await client.command("GET", client.keys.migration);
      const entry = text === null ? undefined : decodeFeedEntry(String(text));
      return entry?.kind === "phase" ? entry.state : undefined;
    },
  };
}

async function usesIn(client: RedisClient, index: string, since: readonly number[]) {
  const [keys, ...used] = await client.commands([
    ["ZCARD", index],
    ...since.map((moment) => ["ZCOUNT", index, moment, "+inf"] as const),
  ]);
  return { keys: Number(keys), used: used.map(Number) };
}
