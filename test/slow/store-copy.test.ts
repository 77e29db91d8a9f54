import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { connectRedis } from "../../src/redis/client.ts";
import type { UsedStore } from "../support/copied-stores.ts";
import { newFolder, redisSide } from "../support/copied-stores.ts";
import { PROGRAM } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const KEYS = 100_000;
const KEYS_PER_COMMIT = 500;
/** Every third key has ended, in one of three ways. */
const ENDED_EVERY = 3;
/** The live heap after a collection. All rows would need more than twice this. */
const MAX_LIVE_MB = 64;

let redis: TestedRedis;
let other: TestedRedis;

beforeAll(async () => {
  [redis, other] = await Promise.all([startRedis(), startRedis()]);
  const client = await connectRedis({ url: redis.url, commandTimeoutMs: 10_000 });
  await redisSide(client).use(fill);
  await client.close();
});

afterAll(async () => {
  await redis?.stop();
  await other?.stop();
});

async function fill({ keys }: UsedStore): Promise<void> {
  const nowSeconds = () => Math.floor(Date.now() / 1000);
  const issuedAt = nowSeconds();
  const newRecord = (at: number): KeyRecord => ({
    keyId: `basic_${issuedAt}_${String(at).padStart(22, "0")}`,
    family: `fam_${String(at).padStart(22, "0")}`,
    familyStartedAt: issuedAt,
    ...(at % 2 === 0 && { owner: `owner-${at % 1000}` }),
    role: "basic",
    scopes: ["chat:read", "chat:write"],
    name: `key ${at}`,
    issuedAt,
    expiresAt: issuedAt + 86_400,
    refreshAfter: issuedAt + 43_200,
    selfService: false,
    disabled: false,
    version: 1,
  });
  for (let start = 0; start < KEYS; start += KEYS_PER_COMMIT) {
    const put = Array.from({ length: KEYS_PER_COMMIT }, (_, at) => newRecord(start + at));
    const audit = put.map(
      ({ keyId }) =>
        ({
          eventId: keyId,
          atMs: Date.now(),
          event: "key_registered",
          outcome: "done",
          actor: "admin:t",
          keyId,
        }) as const,
    );
    const made = await keys.commit({ nowSeconds: nowSeconds(), put, audit });
    const ended = put
      .filter((_, at) => (start + at) % ENDED_EVERY === 0)
      .map(
        (record, at): KeyRecord => ({
          ...record,
          version: 2,
          changedAt: Date.now(),
          ...(at % 2 === 0 ? { revokedAt: issuedAt } : { disabled: true }),
        }),
      );
    const changed = await keys.commit({ nowSeconds: nowSeconds(), put: ended, audit: [] });
    if (made.kind !== "committed" || changed.kind !== "committed")
      throw new Error(`${made.kind}, ${changed.kind}`);
  }
}

interface Run {
  readonly child: Child;
  readonly ended: Promise<{
    readonly code: number | null;
    readonly seconds: number;
    readonly peakMb: number;
    readonly liveMb: number;
  }>;
}

async function startCopy(from: string, to: string): Promise<Run> {
  const startedMs = performance.now();
  let liveMb = 0;
  const child = await startChild(process.execPath, ["--trace-gc", PROGRAM, "store", "copy", from, to], {
    env: { PATH: process.env["PATH"] },
    onStdoutLine(line) {
      liveMb = Math.max(liveMb, Number(/Mark-Compact .* -> ([\d.]+)/.exec(line)?.[1] ?? 0));
    },
  });
  let peakKb = 0;
  const measure = async () => {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    peakKb = Math.max(peakKb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
  };
  const timer = setInterval(() => void measure(), 100);
  const ended = child.exited.then((code) => {
    clearInterval(timer);
    return { code, seconds: (performance.now() - startedMs) / 1000, peakMb: peakKb / 1024, liveMb };
  });
  return { child, ended };
}

const copiedKeys = async () => Number(await other.cli("ZCARD", "latchkey:keys:by_age"));

test(`a copy of ${KEYS} keys is interrupted by SIGINT, and the same command continues it`, async () => {
  const first = await startCopy(redis.url, other.url);
  await expect.poll(copiedKeys, { timeout: 120_000, interval: 20 }).toBeGreaterThan(KEYS / 4);
  await first.child.stop("SIGINT");
  const interrupted = await first.ended;
  expect(interrupted.code).toBe(1);
  expect(first.child.output()).toContain(
    "latchkey: interrupted. Nothing is lost: run the same command again, and it continues.",
  );
  expect(await copiedKeys()).toBeLessThan(KEYS);

  const resumed = await startCopy(redis.url, other.url);
  const { code, seconds, peakMb, liveMb } = await resumed.ended;
  expect({ code, output: resumed.child.output() }).toMatchObject({
    code: 0,
    output: expect.stringContaining("The target has everything that the source has."),
  });
  expect(await copiedKeys()).toBe(KEYS);
  console.log(
    `Redis to Redis, interrupted after ${interrupted.seconds.toFixed(1)} s; the rest and the comparison: ${seconds.toFixed(1)} s, peak ${peakMb.toFixed(0)} MB, live heap ${liveMb.toFixed(0)} MB`,
  );
  expect(liveMb).toBeLessThan(MAX_LIVE_MB);
}, 300_000);

test("a folder takes the same keys, and gives them back", async () => {
  const folder = newFolder();
  await other.cli("FLUSHALL");
  for (const [name, from, to] of [
    ["Redis to a folder", redis.url, folder],
    ["a folder to Redis", folder, other.url],
  ] as const) {
    const run = await startCopy(from, to);
    const { code, seconds, peakMb, liveMb } = await run.ended;
    expect({ code, output: run.child.output() }).toMatchObject({ code: 0 });
    console.log(
      `${name}, with the comparison: ${seconds.toFixed(1)} s, peak ${peakMb.toFixed(0)} MB, live heap ${liveMb.toFixed(0)} MB`,
    );
    expect(liveMb).toBeLessThan(MAX_LIVE_MB);
  }
  expect(await copiedKeys()).toBe(KEYS);
}, 300_000);
