import { readFileSync } from "node:fs";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { isLegacyId, roleOfKeyId } from "../core/keys/key-record.ts";
import { decodeRecord } from "../core/keys/key-record-codec.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { Revocation } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import type { CommitOptions } from "./key-commit.ts";
import { createCommit, createConfirm, createFindEnd } from "./key-commit.ts";
import { createLegacy } from "./legacy.ts";
import { redisKeys } from "./names.ts";
import { pairs, texts } from "./replies.ts";
import { createRelease } from "./self-service.ts";

const SWEEP_SOURCE = readFileSync(new URL("./scripts/sweep.lua", import.meta.url), "utf8");
const USE_SOURCE = readFileSync(new URL("./scripts/use.lua", import.meta.url), "utf8");
const SWEPT_INDEXES = [
  redisKeys.byAge,
  redisKeys.byEnd,
  redisKeys.ended,
  redisKeys.endedFamilies,
  redisKeys.cutOffs,
  redisKeys.selfService,
  redisKeys.lastUsed,
  redisKeys.standings,
  redisKeys.counts,
  redisKeys.forgotten,
];
const SCAN_COUNT = 500;

/** Beside what a commit needs: a record stays so long after its key's end, so that "expired" can be told from "unknown". */
export type KeyStoreOptions = CommitOptions;

/** The registry in Redis. Its names and their forms are in `names.ts`. */
export function createKeyStore(client: RedisClient, options: KeyStoreOptions): KeyStore {
  const release = createRelease(client);
  return {
    commit: createCommit(client, options, release),
    confirm: createConfirm(client, options),
    findEnd: createFindEnd(client),
    ...createReads(client),
    ...createUse(client),
    ...createLegacy(client, options.recordRetentionSeconds),
    revocations: () => snapshot(client),
    async count(nowSeconds) {
      const [unexpired, selfService] = await client.commands(
        [redisKeys.byEnd, redisKeys.selfService].map(
          (index) => ["ZCOUNT", index, `(${nowSeconds}`, "+inf"] as const,
        ),
      );
      return { unexpired: Number(unexpired), selfService: Number(selfService) };
    },
    sweep: createSweep(client, options, release),
  };
}

/** Redis carries out one script at a time, for all instances: each call of this one takes a millisecond or two. */
const SWEPT_AT_ONCE = 50;

function createSweep(
  client: RedisClient,
  { recordRetentionSeconds }: KeyStoreOptions,
  release: (limit: number) => Promise<unknown>,
): KeyStore["sweep"] {
  const run = client.script(SWEEP_SOURCE, "sweep");
  const prefixes = [
    redisKeys.key(""),
    redisKeys.byOwner(""),
    redisKeys.legacyHash(""),
    redisKeys.legacyUse(""),
    redisKeys.legacyUnmigrated(""),
  ];
  let cutOffCursor = "0";
  /** Some cut-offs at a time: those of many owners stay for ever. */
  const someCutOffs = async () => {
    const reply = await client.command("HSCAN", redisKeys.cutOffs, cutOffCursor, "COUNT", SWEPT_AT_ONCE);
    const [next, members] = Array.isArray(reply) ? reply : [];
    cutOffCursor = texts([next])[0] ?? "0";
    return pairs(members).map(([field]) => field);
  };
  return async (beforeSeconds, limit) => {
    let swept = 0;
    let cutOffs = await someCutOffs();
    for (;;) {
      const most = Math.min(SWEPT_AT_ONCE, limit - swept);
      const bounds = [beforeSeconds, recordRetentionSeconds, most];
      const reply = await run(SWEPT_INDEXES, [...bounds, ...prefixes, ...cutOffs]);
      const [keys = 0, others = 0] = (Array.isArray(reply) ? reply : []).map(Number);
      swept += keys;
      if (swept >= limit || Math.max(keys, others) < most) break;
      cutOffs = [];
    }
    await release(limit);
    return swept;
  };
}

function createReads(client: RedisClient): Pick<KeyStore, "load" | "recall" | "page"> {
  return {
    load: async (keyId) => (await loadAll(client, [keyId]))[0],
    async recall(id, nowSeconds) {
      const reply = await client.command("GET", redisKeys.call(id));
      if (reply === null) return undefined;
      const call: unknown = JSON.parse(String(reply));
      const [bodyDigest, keyId, until] = Array.isArray(call) ? call : [];
      if (typeof bodyDigest !== "string" || typeof keyId !== "string")
        throw new Error("a remembered call is damaged");
      return Number(until) > nowSeconds ? { id, bodyDigest, keyId, until: Number(until) } : undefined;
    },
    async page({ owner, cursor, limit }) {
      if (cursor !== undefined && !/^\d{1,16}$/.test(cursor)) return "cursor_unknown";
      const index = owner === undefined ? redisKeys.byAge : redisKeys.byOwner(owner);
      const range = [
        "ZRANGEBYSCORE",
        index,
        `(${cursor ?? 0}`,
        "+inf",
        "WITHSCORES",
        "LIMIT",
        0,
        limit + 1,
      ] as const;
      const found = pairs(await client.command(...range));
      const kept = found.slice(0, limit);
      const records = await loadAll(
        client,
        kept.map(([keyId]) => keyId),
      );
      // A member without its record is a key that is being forgotten at this moment.
      const entries = kept.flatMap(([, sequence], at) => {
        const record = records[at];
        return record === undefined ? [] : [{ record, cursor: sequence }];
      });
      const last = kept.at(-1);
      return { entries, ...(found.length > limit && last !== undefined && { nextCursor: last[1] }) };
    },
  };
}

async function loadAll(client: RedisClient, keyIds: readonly string[]): Promise<(KeyRecord | undefined)[]> {
  if (keyIds.length === 0) return [];
  // GET tells a name that holds something else; MGET would say that there is nothing.
  const stored = await client.commands(keyIds.map((keyId) => ["GET", redisKeys.key(keyId)] as const));
  return stored.map((text, at) => (text === null ? undefined : decodeRecord(keyIds[at] ?? "", String(text))));
}

function createUse(client: RedisClient): Pick<KeyStore, "noteUse" | "lastUsed"> {
  const note = client.script(USE_SOURCE, "use");
  return {
    async noteUse(used) {
      if (used.size > 0)
        await note([redisKeys.lastUsed, ...[...used.keys()].flatMap(namesOfUse)], [...used].flat());
    },
    async lastUsed(keyIds) {
      if (keyIds.length === 0) return new Map();
      const reply = await client.command("ZMSCORE", redisKeys.lastUsed, ...keyIds);
      const scores: unknown[] = Array.isArray(reply) ? reply : [];
      return new Map(
        keyIds.flatMap((keyId, at) => (scores[at] === null ? [] : [[keyId, Number(scores[at])]])),
      );
    },
  };
}

function namesOfUse(keyId: string): readonly string[] {
  const legacy = isLegacyId(keyId)
    ? [redisKeys.legacyUse, redisKeys.legacyUnmigrated].map((uses) => uses(roleOfKeyId(keyId)))
    : [redisKeys.nothing, redisKeys.nothing];
  return [redisKeys.key(keyId), ...legacy];
}

/** Everything that ends keys, as it stands. */
export async function* snapshot(client: RedisClient): AsyncIterable<readonly Revocation[]> {
  yield [{ kind: "forgotten", before: Number(await client.command("GET", redisKeys.forgotten)) }];
  for await (const families of scan(client, "ZSCAN", redisKeys.endedFamilies)) {
    yield families.map(([family, until]) => ({ kind: "family", family, until: Number(until) }));
  }
  for await (const cutOffs of scan(client, "HSCAN", redisKeys.cutOffs)) yield cutOffs.map(toCutOff);
  for await (const standings of scan(client, "HSCAN", redisKeys.standings)) {
    yield standings.flatMap(([, text]) => {
      const entry = decodeFeedEntry(text);
      return entry?.kind === "key" ? [entry] : [];
    });
  }
}

/** SCAN gives every member that is there all the while at least once; a view takes in what comes twice. */
async function* scan(
  client: RedisClient,
  command: "ZSCAN" | "HSCAN",
  name: string,
): AsyncIterable<[string, string][]> {
  let cursor = "0";
  do {
    const reply = await client.command(command, name, cursor, "COUNT", SCAN_COUNT);
    const [next, members] = Array.isArray(reply) ? reply : [];
    cursor = texts([next])[0] ?? "0";
    yield pairs(members);
  } while (cursor !== "0");
}

function toCutOff([field, value]: readonly [string, string]): Revocation {
  const colon = field.indexOf(":");
  const scope = field.slice(0, colon);
  const [before, until] = value.split(" ").map(Number);
  const known = scope === "all" || scope === "role" || scope === "owner";
  if (!known || before === undefined || until === undefined) throw new Error("a cut-off is damaged");
  return { kind: "cutoff", scope, subject: field.slice(colon + 1), before, until };
}
