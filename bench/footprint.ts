import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startChild } from "../scripts/child.ts";
import { parseJson } from "../scripts/latchkey-process.ts";
import { registerKey } from "../test/support/keys.ts";
import { readMetrics } from "../test/support/metrics.ts";
import type { TestedRedis } from "../test/support/redis.ts";
import { startRedis } from "../test/support/redis.ts";
import type { Answering } from "./candidates/candidate.ts";
import { startVariant } from "./candidates/candidate.ts";
import { loadChecks } from "./load.ts";
import { sendChecks } from "./many-tokens.ts";
import { residentMb } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import type { Figures } from "./rounds.ts";
import type { Scale } from "./scale.ts";
import { checkOf, signTokens } from "./tokens.ts";

/** What Redis itself takes for its first keys is not counted. */
const REGISTERED = { before: 100, counted: 400 };
/** V8 collects what it has put off once nothing happens for a while. */
const REST_MS = 15_000;

/** Memory, commands of the store, and the start: counted once, for they hardly vary. */
export async function footprint(_redis: TestedRedis, { keys, requests, patient }: Scale): Promise<Section> {
  const redis = await startRedis();
  const startMs = performance.now();
  const latchkey = await startVariant({ name: "Latchkey", redis });
  try {
    const readyMs = performance.now() - startMs;
    await register(latchkey, REGISTERED.before);
    const bytesBefore = await redisBytes(redis);
    await register(latchkey, REGISTERED.counted);
    const perKeyInRedis = ((await redisBytes(redis)) - bytesBefore) / REGISTERED.counted;
    const [hot = ""] = await signTokens(1);
    await loadChecks(latchkey.grpc, checkOf(hot), requests);
    const commandsBefore = await redisCommands(redis);
    const { requestsPerSecond } = await loadChecks(latchkey.grpc, checkOf(hot), requests);
    const commands = (await redisCommands(redis)) - commandsBefore;
    const tokens = await signTokens(keys, 1);
    await sendChecks(latchkey.grpc, tokens.map(checkOf), keys);
    const busyMb = await residentMb(latchkey.pid);
    await pause(patient ? REST_MS : 0);
    const rows = new Map<string, Figures>([
      ["start to ready, ms", only(readyMs)],
      ["bytes of heap for each cached key and its bucket", only(await heapPerKey(keys))],
      [`MB resident right after ${keys.toLocaleString("en")} active keys`, only(busyMb)],
      ["MB resident a moment later", only(await residentMb(latchkey.pid))],
      ["bytes in Redis for each registered key", only(perKeyInRedis)],
      ["Redis commands for 100 Checks of one key, heartbeat and all", only((100 * commands) / requests)],
      ["of these, Checks a second", only(requestsPerSecond)],
      ["calls of the embedded store for 100 Checks of one key", only(await embeddedCalls(requests))],
    ]);
    return section("footprint", "What it takes", "start to ready, ms", rows);
  } finally {
    await latchkey.stop();
    await redis.stop();
  }
}

/** Of an instance without Redis, for 100 Checks, upkeep and all. */
async function embeddedCalls(requests: number): Promise<number> {
  const latchkey = await startVariant({ name: "Latchkey without Redis" });
  try {
    const [hot = ""] = await signTokens(1);
    await loadChecks(latchkey.grpc, checkOf(hot), requests);
    const before = await storeCalls(latchkey);
    await loadChecks(latchkey.grpc, checkOf(hot), requests);
    return (100 * ((await storeCalls(latchkey)) - before)) / requests;
  } finally {
    await latchkey.stop();
  }
}

async function storeCalls({ ops = "" }: Answering): Promise<number> {
  const series = [...(await readMetrics(ops))];
  const counts = series.filter(([name]) => name.startsWith("latchkey_store_command_duration_seconds_count"));
  return counts.reduce((sum, [, count]) => sum + count, 0);
}

async function register({ http = "" }: Answering, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await registerKey(http, "bench");
}

function only(value: number): Figures {
  return { once: { median: value, least: value, most: value } };
}

async function redisBytes(redis: TestedRedis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.cli("info", "memory"))?.[1]);
}

async function redisCommands(redis: TestedRedis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.cli("info", "stats"))?.[1]);
}

/** In a process of its own, which can be made to collect its garbage. */
async function heapPerKey(keys: number): Promise<number> {
  const script = fileURLToPath(new URL("heap.ts", import.meta.url));
  const lines: string[] = [];
  const child = await startChild(process.execPath, ["--expose-gc", script, String(keys)], {
    env: process.env,
    onStdoutLine: (line) => lines.push(line),
  });
  if ((await child.exited) !== 0) throw new Error(child.output());
  return z.object({ bytesPerKey: z.number() }).parse(parseJson(lines.at(-1) ?? "")).bytesPerKey;
}
