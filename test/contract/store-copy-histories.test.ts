import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freezeRegistry, thawRegistry } from "../../src/core/keys/freeze.ts";
import { changeKey } from "../../src/core/keys/key-administration.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import {
  revokeFamily,
  revokeIssuedBefore,
  revokeOne,
  revokeOwner,
} from "../../src/core/keys/key-revocation.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import { RegistryFrozen } from "../../src/core/keys/registry-frozen.ts";
import { importLegacyKeys } from "../../src/core/legacy/legacy-import.ts";
import { PHASES } from "../../src/core/legacy/migration.ts";
import { setPhase } from "../../src/core/legacy/migration-switch.ts";
import { clearOverride, setOverride } from "../../src/core/overrides/override-administration.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import type { Random } from "../histories/random.ts";
import { createRandom } from "../histories/random.ts";
import {
  compareBetween,
  copyBetween,
  differences,
  observeStore,
  redisSide,
  sqliteSide,
} from "../support/copied-stores.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import { instanceOn } from "./key-store-suite.ts";

const admin = { caller: { kind: "admin", id: "test" } } as const;
const OWNERS = ["acme", "umbrella"];
const CLIENTS = 4;
const PAUSE_MS = 3;
const clock = {
  get nowSeconds() {
    return Math.floor(Date.now() / 1000);
  },
};

let servers: readonly TestedRedis[];
let clients: readonly RedisClient[];

beforeAll(async () => {
  servers = await Promise.all([startRedis(), startRedis()]);
  clients = await Promise.all(servers.map(({ url }) => connectRedis({ url, commandTimeoutMs: 5000 })));
});

afterAll(async () => {
  for (const client of clients ?? []) await client.close();
  for (const server of servers ?? []) await server.stop();
});

interface Known {
  readonly keyId: string;
  readonly family: string;
}

/** One random change. A key may be changed, refreshed and revoked by several clients at a time. */
async function change(registry: Registry, random: Random, known: Known[]): Promise<unknown> {
  const name = `n${random.below(1000)}`;
  const owner = random.pick(OWNERS);
  const of = { scope: "owner", subject: owner } as const;
  if (known.length === 0 || random.below(3) === 0) {
    const more = random.below(2) === 0 ? { owner } : {};
    const made = await registerKey(registry, { role: "contributor", name, ...more }, admin);
    if (made.kind === "issued") known.push(made.record);
    return made;
  }
  const { keyId, family } = random.pick(known);
  const changes: readonly (() => Promise<unknown>)[] = [
    () => importLegacyKeys(registry, [[{ line: 1, key: name, name, role: "basic" }]], admin, false),
    () => changeKey(registry, keyId, { name }, admin),
    () => changeKey(registry, keyId, { disabled: random.below(2) === 0 }, admin),
    () => rotateByOperator(registry, keyId, random.below(2) * 3600, admin),
    () => revokeOne(registry, keyId, admin),
    () => revokeOne(registry, `contributor_1_${String(random.below(9)).padStart(22, "0")}`, admin, true),
    () => revokeFamily(registry, family, admin),
    () => (random.below(20) === 0 ? revokeOwner(registry, owner, admin) : Promise.resolve()),
    () => revokeIssuedBefore(registry, clock.nowSeconds - 60, { role: name }, admin),
    () => setPhase(registry, random.pick(PHASES), admin),
    () => setOverride(registry, of, { content: { plan: "team", note: name } }, admin),
    () => clearOverride(registry, of, admin),
    () => registry.store.noteUse(new Map([[keyId, clock.nowSeconds - random.below(100)]])),
  ];
  return random.pick(changes)();
}

/** Changes the registry from several clients at once until it is stopped. Returns the number of changes so far. */
function startChanges(registry: Registry, random: Random) {
  const known: Known[] = [];
  const count = { done: 0, stopped: 0 };
  let isStopped = false;
  const client = async () => {
    while (!isStopped)
      try {
        await change(registry, random, known);
        count.done++;
        // Otherwise the copy, in the same process, has little time.
        await pause(PAUSE_MS);
      } catch (error) {
        // This test changes few keys and owners, so changes conflict often, and owners are revoked faster than time goes on.
        if (error instanceof RegistryFrozen) count.stopped++;
        else if (!/eight attempts|no key can be issued yet/.test(String(error))) throw error;
      }
  };
  const ended = Promise.all(Array.from({ length: CLIENTS }, client));
  return {
    count,
    async stop() {
      isStopped = true;
      await ended;
    },
  };
}

test.each([
  [1, "Redis"],
  [2, "an embedded store"],
])(
  "history %i: after two copies of a changing store and one of a frozen store, %s gives the same verdicts",
  async (seed, kind) => {
    for (const server of servers) await server.cli("FLUSHALL");
    const [client, other] = clients;
    if (client === undefined || other === undefined) throw new Error("no clients");
    const from = redisSide(client);
    const to = kind === "Redis" ? redisSide(other) : sqliteSide();
    await from.use(async ({ keys }) => {
      const registry = instanceOn(keys, clock);
      const changes = startChanges(registry, createRandom(seed));
      const reached = (count: number) => expect.poll(() => changes.count.done).toBeGreaterThan(count);
      await reached(100);
      await copyBetween(from, to);
      await reached(changes.count.done + 100);
      await copyBetween(from, to);
      await freezeRegistry(registry, 600, admin);
      const frozen = changes.count.done;
      // Revocations go on.
      await copyBetween(from, to);
      await reached(frozen + 20);
      expect(changes.count.stopped).toBeGreaterThan(0);
      await changes.stop();
      await copyBetween(from, to);
      expect(differences(await compareBetween(from, to))).toEqual([]);
      const [source, target] = [await from.use(observeStore), await to.use(observeStore)];
      expect(source.keys.length).toBeGreaterThan(20);
      expect(target).toEqual(source);
      await thawRegistry(registry, admin);
    });
  },
);
