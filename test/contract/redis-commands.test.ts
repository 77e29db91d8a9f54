import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

/** The oldest supported version. */
const OLDEST = [6, 2];
const FOLDER = new URL("../../src/redis/", import.meta.url);

interface Command {
  readonly name: string;
  /** From the name to the end of the call. */
  readonly call: string;
  readonly file: string;
}

let redis: TestedRedis;
let admin: RedisClient;

beforeAll(async () => {
  redis = await startRedis();
  admin = await connectRedis({ url: redis.adminUrl, commandTimeoutMs: 5000 });
});
afterAll(async () => {
  await admin?.close();
  await redis?.stop();
});

/** Every word in capitals that our code may send first, with what follows it. Some of them are no commands. */
function candidates(): readonly Command[] {
  const files = readdirSync(FOLDER, { recursive: true, encoding: "utf8" }).filter(
    (name) => /\.(?:ts|lua)$/.test(name) && !name.endsWith(".test.ts"),
  );
  return files.flatMap((file) => {
    const code = readFileSync(new URL(file, FOLDER), "utf8").replace(/^\s*(?:--|\*|\/\/).*$/gm, "");
    const found = file.endsWith(".lua")
      ? code.matchAll(/redis\.p?call\('([A-Z]+)'([^\n]*)/g)
      : code.matchAll(/[[(]\s*"([A-Z]{3,})"([^;]{0,300})/g);
    return [...found].map(([, name = "", call = ""]) => ({ name, call, file }));
  });
}

type Documented = ReadonlyMap<string, unknown>;

/** Redis's own documentation of its commands: since when each one exists, and each of its arguments. */
async function documented(names: readonly string[]): Promise<ReadonlyMap<string, Documented>> {
  return new Map(
    [...toMap(await admin.command("COMMAND", "DOCS", ...names))].map(([name, docs]) => [
      name.toUpperCase(),
      toMap(docs),
    ]),
  );
}

function toMap(reply: unknown): Documented {
  const list: unknown[] = Array.isArray(reply) ? reply : [];
  return new Map(list.flatMap((name, at) => (at % 2 === 0 ? [[String(name), list[at + 1]] as const] : [])));
}

function isNewer(since: unknown): boolean {
  const [major = 0, minor = 0] = String(since ?? "0")
    .split(".")
    .map(Number);
  return major > (OLDEST[0] ?? 0) || (major === OLDEST[0] && minor > (OLDEST[1] ?? 0));
}

/** The words of arguments that are newer than the oldest version, such as GT of EXPIRE. */
function newWords(docs: Documented): readonly string[] {
  const subcommands = [...toMap(docs.get("subcommands"))].flatMap(([name, of]) => {
    const own = toMap(of);
    return isNewer(own.get("since")) ? [name.split("|")[1]?.toUpperCase() ?? ""] : newWords(own);
  });
  return [...subcommands, ...newArguments(docs.get("arguments"), false)];
}

/** The arguments of an argument are as new as itself. */
function newArguments(list: unknown, isOfNewer: boolean): readonly string[] {
  return (Array.isArray(list) ? list : []).flatMap((argument) => {
    const of = toMap(argument);
    const [word, isNew] = [of.get("token"), isOfNewer || isNewer(of.get("since"))];
    const own = isNew && typeof word === "string" ? [word] : [];
    return [...own, ...newArguments(of.get("arguments"), isNew)];
  });
}

test("no command, and no word of a command, is newer than Redis 6.2", async () => {
  const sent = candidates();
  const docs = await documented([...new Set(sent.map(({ name }) => name))]);
  const commands = sent.filter(({ name }) => docs.has(name));
  // The search finds the calls of scripts, and those of TypeScript on one line and on several.
  const names = new Set(commands.map(({ name }) => name));
  for (const name of ["EVALSHA", "INFO", "XAUTOCLAIM", "ZRANGEBYSCORE", "HSET", "WAIT", "XADD"])
    expect(names).toContain(name);
  expect(sent.filter(({ file, name }) => file.endsWith(".lua") && !docs.has(name))).toEqual([]);
  const tooNew = commands.filter(({ name, call }) => {
    const of = docs.get(name) ?? new Map();
    return isNewer(of.get("since")) || newWords(of).some((word) => new RegExp(`["']${word}["']`).test(call));
  });
  expect(tooNew.map(({ file, name }) => `${file}: ${name}`)).toEqual([]);
});

test("the check finds a newer command, a newer subcommand and a newer argument", async () => {
  const docs = await documented(["EXPIRETIME", "EXPIRE", "CLIENT", "SET"]);
  expect(isNewer(docs.get("EXPIRETIME")?.get("since"))).toBe(true);
  expect(newWords(docs.get("EXPIRE") ?? new Map())).toContain("GT");
  expect(newWords(docs.get("CLIENT") ?? new Map())).toContain("NO-EVICT");
  expect(newWords(docs.get("SET") ?? new Map())).toEqual([]);
});

test("no script uses a function of Lua that is newer than Redis 6.2", () => {
  const scripts = readdirSync(new URL("scripts/", FOLDER));
  for (const name of scripts) {
    const code = readFileSync(new URL(`scripts/${name}`, FOLDER), "utf8");
    expect(code.startsWith("#!"), name).toBe(false);
    const used = [...code.matchAll(/\bredis\.(\w+)/g)].map(([, member]) => member);
    expect(["call", "pcall", "error_reply", "status_reply"], name).toEqual(expect.arrayContaining(used));
  }
});
