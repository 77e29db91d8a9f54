import { frozenUntil } from "../core/keys/freeze.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { isLegacyId, NEVER, roleOfKeyId } from "../core/keys/key-record.ts";
import { decodeRecord } from "../core/keys/key-record-codec.ts";
import type { KeyListing, KeyReader, KeyStore, RememberedCallReader } from "../core/keys/ports.ts";
import type { RedisClient } from "./client.ts";
import { createEndReader } from "./ends.ts";
import { hasEveryFamily } from "./family-index.ts";
import type { CommitOptions } from "./key-commit.ts";
import { createKeyWriter } from "./key-commit.ts";
import { createLegacy } from "./legacy.ts";
import { familyMembers, indexMembers } from "./listed-keys.ts";
import type { RegistryKeys } from "./names.ts";
import { createOverrideReader } from "./overrides.ts";
import { scriptText } from "./script-text.ts";
import { createOwnerRelease, createRelease } from "./self-service.ts";
import { snapshot } from "./snapshot.ts";
import { createSweep } from "./sweep.ts";

const USE_SOURCE = scriptText("use");

/** The registry in Redis. `names.ts` lists its Redis keys and their types. */
export function createKeyStore(client: RedisClient, options: CommitOptions): KeyStore {
  const release = createRelease(client);
  const releaseOwned = createOwnerRelease(client);
  return {
    ...createKeyWriter(client, options, release, releaseOwned),
    ...createEndReader(client),
    ...createReads(client),
    ...createOverrideReader(client),
    ...createUse(client),
    ...createLegacy(client, options),
    viewEntries: () => snapshot(client),
    async count(nowSeconds) {
      const [unexpired, selfService] = await client.commands(
        [client.keys.byEnd, client.keys.selfService].map(
          (index) => ["ZCOUNT", index, `(${nowSeconds}`, "+inf"] as const,
        ),
      );
      return { unexpired: Number(unexpired), selfService: Number(selfService) };
    },
    async countOwned(owner, nowSeconds, legacyEnded) {
      await releaseOwned({ owner, as: "active" });
      const range = [`(${nowSeconds}`, legacyEnded ? `(${NEVER}` : "+inf"] as const;
      return Number(await client.command("ZCOUNT", client.keys.activeByOwner(owner), ...range));
    },
    async frozenUntil(nowSeconds) {
      const text = await client.command("GET", client.keys.freeze);
      return frozenUntil(typeof text === "string" ? text : undefined, nowSeconds);
    },
    sweep: createSweep(client, options.recordRetentionSeconds, release),
  };
}

function createReads(client: RedisClient): KeyReader & RememberedCallReader & KeyListing {
  return {
    load: async (keyId) => (await loadAll(client, [keyId]))[0],
    async recall(id, nowSeconds) {
      const reply = await client.command("GET", client.keys.call(id));
      if (reply === null) return undefined;
      const call: unknown = JSON.parse(String(reply));
      const [bodyDigest, keyId, until] = Array.isArray(call) ? call : [];
      if (typeof bodyDigest !== "string" || typeof keyId !== "string")
        throw new Error("a remembered call is damaged");
      return Number(until) > nowSeconds ? { id, bodyDigest, keyId, until: Number(until) } : undefined;
    },
    async page({ of, cursor, limit }) {
      if (cursor !== undefined && !/^\d{1,16}$/.test(cursor)) return "cursor_unknown";
      const [family, owned] = of !== undefined && "family" in of ? [of.family, undefined] : [undefined, of];
      const isIndexed = family !== undefined && (await hasEveryFamily(client));
      const found = await (isIndexed
        ? familyMembers(client, family, cursor, limit + 1)
        : indexMembers(client, owned, cursor, limit + 1));
      const kept = found.slice(0, limit);
      const records = await loadAll(
        client,
        kept.map(([keyId]) => keyId),
      );
      // A sweep is removing a member that has no record.
      const entries = kept.flatMap(([, sequence], at) => {
        const record = records[at];
        if (record === undefined || (family !== undefined && record.family !== family)) return [];
        return [{ record, cursor: sequence }];
      });
      const last = kept.at(-1);
      return { entries, ...(found.length > limit && last !== undefined && { nextCursor: last[1] }) };
    },
  };
}

async function loadAll(client: RedisClient, keyIds: readonly string[]): Promise<(KeyRecord | undefined)[]> {
  if (keyIds.length === 0) return [];
  // GET reports a Redis key of another type. MGET would return null for it.
  const stored = await client.commands(keyIds.map((keyId) => ["GET", client.keys.key(keyId)] as const));
  return stored.map((text, at) => (text === null ? undefined : decodeRecord(keyIds[at] ?? "", String(text))));
}

function createUse(client: RedisClient): Pick<KeyStore, "noteUse" | "lastUsed"> {
  const note = client.script(USE_SOURCE, "use");
  return {
    async noteUse(used) {
      if (used.size > 0)
        await note(
          [client.keys.lastUsed, ...[...used.keys()].flatMap((keyId) => useNamesOf(client.keys, keyId))],
          [...used].flat(),
        );
    },
    async lastUsed(keyIds) {
      if (keyIds.length === 0) return new Map();
      const reply = await client.command("ZMSCORE", client.keys.lastUsed, ...keyIds);
      const scores: unknown[] = Array.isArray(reply) ? reply : [];
      return new Map(
        keyIds.flatMap((keyId, at) => (scores[at] === null ? [] : [[keyId, Number(scores[at])]])),
      );
    },
  };
}

function useNamesOf(keys: RegistryKeys, keyId: string): readonly string[] {
  const legacy = isLegacyId(keyId)
    ? [keys.legacyUse, keys.legacyUnmigrated].map((uses) => uses(roleOfKeyId(keyId)))
    : [keys.nothing, keys.nothing];
  return [keys.key(keyId), ...legacy];
}
