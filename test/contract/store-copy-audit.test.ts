import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AuditEvent } from "../../src/core/audit/audit-event.ts";
import { PAGE } from "../../src/core/copy/ports.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { openDatabase } from "../../src/sqlite/database.ts";
import type { CopySide } from "../support/copied-stores.ts";
import {
  AUDIT_RETENTION_SECONDS,
  compareBetween,
  copyBetween,
  newFolder,
  redisSide,
  sqliteSide,
} from "../support/copied-stores.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRegistry } from "../support/topology.ts";

let servers: readonly TestedRedis[];
let clients: readonly RedisClient[];

beforeAll(async () => {
  servers = await Promise.all([startRegistry(), startRegistry()]);
  clients = await Promise.all(servers.map(({ url }) => connectRedis({ url, commandTimeoutMs: 5000 })));
});

afterAll(async () => {
  for (const client of clients ?? []) await client.close();
  for (const server of servers ?? []) await server.stop();
});

/** A store that can lose its last events, and then continues before the positions that they had. */
interface LossySide extends CopySide {
  /** The next events get the positions that the lost ones had, or earlier ones. */
  loseLast(events: number): Promise<void>;
  removeFirst(): Promise<void>;
}

/** A failover to a server that lacks the last events, and whose clock is behind. */
async function lossyRedis(which: 0 | 1): Promise<LossySide> {
  const client = clients[which];
  if (client === undefined) throw new Error("no such server");
  await servers[which]?.cli("FLUSHALL");
  const { audit } = client.keys;
  return {
    ...redisSide(client),
    async loseLast(events) {
      const entries = (await client.command("XRANGE", audit, "-", "+")) as [string, string[]][];
      const kept = entries.slice(0, -events);
      await client.command("DEL", audit);
      // A stream never goes back, so the clock of this server may be behind.
      for (const [at, [, fields]] of kept.entries())
        await client.command("XADD", audit, `${1000 + at}-0`, ...fields);
      const clockBehind = entries.at(-events)?.[0] ?? "";
      await client.command("XADD", audit, clockBehind, "event", JSON.stringify(newEvent("same position")));
    },
    async removeFirst() {
      const entries = (await client.command("XRANGE", audit, "-", "+", "COUNT", 2)) as [string][];
      await client.command("XTRIM", audit, "MINID", entries[1]?.[0] ?? "");
    },
  };
}

/** A folder that is restored from a backup. */
function lossyFolder(): LossySide {
  const folder = newFolder();
  return {
    ...sqliteSide(folder),
    async loseLast(events) {
      const database = openDatabase(folder);
      database.sqlite.exec(
        `DELETE FROM audit WHERE seq > (SELECT max(seq) FROM audit) - ${events};
         UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM audit) WHERE name = 'audit'`,
      );
      database.close();
      await write(this, ["same position"]);
    },
    async removeFirst() {
      const database = openDatabase(folder);
      database.sqlite.exec("DELETE FROM audit WHERE seq = (SELECT min(seq) FROM audit)");
      database.close();
    },
  };
}

function newEvent(eventId: string, atMs = Date.now()): AuditEvent {
  return { eventId, atMs, event: "key_registered", outcome: "done", actor: "admin:test" };
}

async function write(side: CopySide, ids: readonly string[], atMs?: number): Promise<void> {
  const audit = ids.map((id) => newEvent(id, atMs));
  await side.use(({ keys }) => keys.commit({ nowSeconds: Math.floor(Date.now() / 1000), put: [], audit }));
}

/** Writes events that an audit log gets at once. */
async function writeLogged(side: CopySide, ids: readonly string[], atMs?: number): Promise<void> {
  await write(side, ids, atMs);
  await logAll(side);
}

function logAll(side: CopySide): Promise<void> {
  return side.use(async ({ audit }) => audit.done((await audit.claim(100)).map(({ cursor }) => cursor)));
}

function eventIds(side: CopySide): Promise<readonly string[]> {
  return side.use(async ({ audit }) => {
    const ids: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await audit.read({
        limit: 500,
        ...(after === undefined ? { fromOldest: true } : { after }),
      });
      const last = page.at(-1);
      if (last === undefined) return ids;
      ids.push(...page.map(({ event }) => event.eventId));
      after = last.cursor;
    }
  });
}

async function copiedEvents(from: CopySide, to: CopySide): Promise<number | undefined> {
  return (await copyBetween(from, to)).find(({ name }) => name === "audit events")?.written;
}

async function missingEvents(from: CopySide, to: CopySide): Promise<number | undefined> {
  return (await compareBetween(from, to)).find(({ name }) => name === "audit events")?.missing;
}

describe.each([
  ["Redis", "Redis", () => lossyRedis(0), () => lossyRedis(1)],
  ["Redis", "an embedded store", () => lossyRedis(0), async () => lossyFolder()],
  ["an embedded store", "Redis", async () => lossyFolder(), () => lossyRedis(1)],
  ["an embedded store", "another", async () => lossyFolder(), async () => lossyFolder()],
] as const)("from %s to %s", (_from, _to, newSource, newTarget) => {
  test("events are copied that the source wrote at or before the positions of events that it had lost", async () => {
    const [from, to] = [await newSource(), await newTarget()];
    await writeLogged(from, ["one", "two", "lost", "lost too"]);
    await copyBetween(from, to);
    await from.loseLast(2);
    await writeLogged(from, ["three"]);
    expect(await missingEvents(from, to)).toBe(2);
    expect(await copiedEvents(from, to)).toBe(2);
    expect(await missingEvents(from, to)).toBe(0);
    expect(await copiedEvents(from, to)).toBe(0);
    expect(await eventIds(to)).toEqual(["one", "two", "lost", "lost too", "same position", "three"]);
    // A third store gets them from the copy, and from the first source.
    const third = sqliteSide();
    await copyBetween(to, third);
    expect(await copiedEvents(from, third)).toBe(0);
    expect(await eventIds(third)).toEqual(await eventIds(to));
  });

  test("an event that an instance has written again after a loss is in the target once", async () => {
    const [from, to] = [await newSource(), await newTarget()];
    await writeLogged(from, ["one", "lost"]);
    await copyBetween(from, to);
    await from.loseLast(1);
    await writeLogged(from, ["lost"]);
    await copyBetween(from, to);
    expect(await eventIds(to)).toEqual(["one", "lost", "same position"]);
  });

  test("an event that the target has written and lost comes back from its copy", async () => {
    const [from, to] = [await newSource(), await newTarget()];
    await writeLogged(to, ["one", "lost"]);
    await copyBetween(to, from);
    await to.loseLast(1);
    expect(await missingEvents(from, to)).toBe(1);
    await copyBetween(from, to);
    expect(await eventIds(to)).toEqual(["one", "same position", "lost"]);
    await copyBetween(to, from);
    expect(await eventIds(from)).toEqual(["one", "lost", "same position"]);
  });

  test("a logged event that the target has removed after its retention does not come back", async () => {
    const [from, to] = [await newSource(), await newTarget()];
    await writeLogged(from, ["old"], Date.now() - (AUDIT_RETENTION_SECONDS + 60) * 1000);
    await writeLogged(from, ["young"]);
    await write(from, ["not logged"]);
    expect(await copiedEvents(from, to)).toBe(3);
    await logAll(to);
    await to.removeFirst();
    expect(await copiedEvents(from, to)).toBe(0);
    expect(await missingEvents(from, to)).toBe(0);
    expect(await eventIds(to)).toEqual(["young", "not logged"]);
  });
});

test("two copies at the same time, and an instance that writes meanwhile, bring each event once", async () => {
  const [from, to] = [await lossyRedis(0), await lossyRedis(1)];
  const of = (name: string, count: number) => Array.from({ length: count }, (_, at) => `${name} ${at}`);
  await write(from, of("first", 2 * PAGE));
  await write(from, of("second", PAGE));
  await Promise.all([
    copyBetween(from, to),
    copyBetween(from, to),
    (async () => {
      for (const id of of("own", 50)) await write(to, [id]);
    })(),
  ]);
  const ids = await eventIds(to);
  expect(ids.filter((id) => !id.startsWith("own"))).toEqual(await eventIds(from));
  expect(ids.filter((id) => id.startsWith("own"))).toEqual(of("own", 50));
});

test("damaged events have no ids, and each of them is copied once", async () => {
  const [from, to, folder] = [await lossyRedis(0), await lossyRedis(1), sqliteSide()];
  for (const text of ["one", "{}"])
    await clients[0]?.command("XADD", clients[0].keys.audit, "*", "event", text);
  await write(from, ["whole"]);
  for (const [one, other] of [
    [from, folder],
    [folder, to],
    [from, to],
    [to, from],
  ] as const) {
    await copyBetween(one, other);
    expect(await eventIds(other)).toEqual(["damaged", "damaged", "whole"]);
  }
});
