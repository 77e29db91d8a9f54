import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { removeAtEnd } from "../support/at-end.ts";
import { fillWithEndedKeys } from "../support/ended-keys.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startRedis } from "../support/redis.ts";

const LINES = 78_000;
const ENDED_KEYS = 100_000;
const ROUTES = 5000;
/**
 * In yardsticks (test/support/turns.ts) of some 10 ms. A slice of bulk work takes about one; the rest is for
 * the garbage collector, which may run in the same turn. Without slices each of these took 20 to 290.
 */
const LONGEST_TURN = 12;

/** A process that reports the longest turn of its event loop. */
async function startMeasured(more: Readonly<Record<string, string>> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-turns-"));
  removeAtEnd(folder);
  const TURNS_FILE = join(folder, "longest");
  const ADMIN_TOKEN = newSecret();
  const latchkey = await startLatchkey({
    ADMIN_TOKEN,
    TURNS_FILE,
    NODE_OPTIONS: `--import=${new URL("../support/turns.ts", import.meta.url)}`,
    ...more,
  });
  const longestTurn = async () => {
    rmSync(TURNS_FILE, { force: true });
    process.kill(latchkey.pid, "SIGUSR2");
    const read = () => readFile(TURNS_FILE, "utf8").catch(() => "");
    await expect.poll(read, { interval: 20 }).toContain("\n");
    return Number(await read());
  };
  const during = async (work: () => Promise<unknown>) => {
    await longestTurn();
    await work();
    return longestTurn();
  };
  const call = async (method: "GET" | "POST", path: string, body = "") => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const type = path.includes("keys:import") ? "application/x-ndjson" : "application/json";
    const sent = { headers: { ...headers, "content-type": type }, body };
    const response = await fetch(`http://${latchkey.operator}${path}`, {
      method,
      ...(method === "GET" ? { headers } : sent),
    });
    return { status: response.status, answer: await response.json() };
  };
  return { latchkey, during, call };
}

function linesOf(role: string): string {
  const line = (_: unknown, at: number) =>
    JSON.stringify({
      api_key: `key-of-another-system-${String(at).padStart(12, "0")}`,
      role,
      owner: `o${at}`,
    });
  return Array.from({ length: LINES }, line).join("\n");
}

/** A megabyte of JSON with a policy. */
function largePolicy(): string {
  const route = (_: unknown, at: number) =>
    `  - { path: /items/${at}/**, methods: [GET, POST], public: true }`;
  const text = `routes:\n${Array.from({ length: ROUTES }, route).join("\n")}\n`;
  return JSON.stringify({ text, replay: true });
}

describe("no turn of the deciding thread's event loop is long", () => {
  test("no turn is long while an operator imports, lists and reads on the embedded store", async () => {
    const { latchkey, during, call } = await startMeasured();
    const [good, bad] = [linesOf("basic"), linesOf("unknown")];
    const rejections = expect.arrayContaining([expect.objectContaining({ line: LINES })]);
    const steps = [
      ["POST", "/api/admin/keys:import?dry_run=true", good, { imported: LINES, known: 0, refused: [] }],
      ["POST", "/api/admin/keys:import", good, { imported: LINES, known: 0, refused: [] }],
      ["POST", "/api/admin/keys:import", good, { imported: 0, known: LINES, refused: [] }],
      ["POST", "/api/admin/keys:import", bad, { imported: 0, known: 0, refused: rejections }],
      ["GET", "/api/admin/keys?limit=500", undefined, { keys: expect.any(Array) }],
      ["GET", "/api/admin/audit?limit=500", undefined, { events: expect.any(Array) }],
      ["GET", "/api/admin/audit?limit=1&actor=unknown", undefined, { events: [] }],
      ["GET", "/api/admin/migration", undefined, { phase: "silent" }],
      ["POST", "/api/admin/policy/check", largePolicy(), { ok: true, summary: { routes: ROUTES } }],
    ] as const;
    for (const [method, path, lines, answer] of steps) {
      const longest = await during(async () =>
        expect(await call(method, path, lines)).toMatchObject({ status: 200, answer }),
      );
      expect(longest, path).toBeLessThan(LONGEST_TURN);
    }
    await latchkey.stop();
  });

  test("no turn is long while a Redis that has lost all revocations gets them back", async () => {
    const redis = await startRedis();
    await fillWithEndedKeys(redis, ENDED_KEYS);
    const { latchkey, during } = await startMeasured({ REDIS_URL: redis.url, JWT_SECRET: newSecret() });
    const longest = await during(async () => {
      await redis.cli("FLUSHALL");
      const standings = async () => Number(await redis.cli("HLEN", "latchkey:keys:standings"));
      await expect.poll(standings, { timeout: 120_000, interval: 200 }).toBe(ENDED_KEYS);
    });
    expect(longest).toBeLessThan(LONGEST_TURN);
    await latchkey.stop();
    await redis.stop();
  });
});
