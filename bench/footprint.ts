import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startChild } from "../scripts/child.ts";
import { parseJson } from "../scripts/latchkey-process.ts";
import { registerKey } from "../test/support/keys.ts";
import { readMetrics } from "../test/support/metrics.ts";
import type { TestedRedis } from "../test/support/redis.ts";
import { startRedis } from "../test/support/redis.ts";
import type { MeasuredServer } from "./candidates/candidate.ts";
import { startVariant } from "./candidates/candidate.ts";
import { loadCalls } from "./load.ts";
import { sendCalls } from "./many-tokens.ts";
import { residentMb } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import type { Figures } from "./rounds.ts";
import type { Scale } from "./scale.ts";
import { checkOf, signTokens } from "./tokens.ts";

/** The first keys are not counted, because Redis allocates its own structures for them. */
const REGISTERED = { before: 100, counted: 400 };
/** After this idle time V8 has done its deferred garbage collection. */
const IDLE_MS = 15_000;

/** Memory, commands of the store, and start time. Measured once, because they hardly vary. */
export async function footprint(_redis: TestedRedis, { keys, requests, isPatient }: Scale): Promise<Section> {
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
    await loadCalls(latchkey.grpc, checkOf(hot), requests);
    const commandsBefore = await redisCommands(redis);
    const { requestsPerSecond } = await loadCalls(latchkey.grpc, checkOf(hot), requests);
    const commands = (await redisCommands(redis)) - commandsBefore;
    const tokens = await signTokens(keys, 1);
    await sendCalls(latchkey.grpc, tokens.map(checkOf), keys);
    const busyMb = await residentMb(latchkey.pid);
    await pause(isPatient ? IDLE_MS : 0);
    const rows = new Map<string, Figures>([
      ["start to ready, ms", once(readyMs)],
      ["bytes of heap for each cached key and its bucket", once(await heapPerKey(keys))],
      [`MB resident right after ${keys.toLocaleString("en")} active keys`, once(busyMb)],
      ["MB resident after an idle time", once(await residentMb(latchkey.pid))],
      ["bytes in Redis for each registered key", once(perKeyInRedis)],
      ["Redis commands for 100 Checks of one key, heartbeat included", once((100 * commands) / requests)],
      ["Checks per second of that load", once(requestsPerSecond)],
      ["calls of the embedded store for 100 Checks of one key", once(await embeddedCalls(requests))],
    ]);
    return section("footprint", "The footprint of an instance", "start to ready, ms", rows);
  } finally {
    await latchkey.stop();
    await redis.stop();
  }
}

/** Calls of the embedded store for 100 Checks, background work included. */
async function embeddedCalls(requests: number): Promise<number> {
  const latchkey = await startVariant({ name: "Latchkey without Redis" });
  try {
    const [hot = ""] = await signTokens(1);
    await loadCalls(latchkey.grpc, checkOf(hot), requests);
    const before = await storeCalls(latchkey);
    await loadCalls(latchkey.grpc, checkOf(hot), requests);
    return (100 * ((await storeCalls(latchkey)) - before)) / requests;
  } finally {
    await latchkey.stop();
  }
}

async function storeCalls({ ops = "" }: MeasuredServer): Promise<number> {
  const series = [...(await readMetrics(ops))];
  const counts = series.filter(([name]) => name.startsWith("latchkey_store_command_duration_seconds_count"));
  return counts.reduce((sum, [, count]) => sum + count, 0);
}

async function register({ http = "" }: MeasuredServer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await registerKey(http, "bench");
}

function once(value: number): Figures {
  return { once: { median: value, least: value, most: value } };
}

async function redisBytes(redis: TestedRedis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.cli("info", "memory"))?.[1]);
}

async function redisCommands(redis: TestedRedis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.cli("info", "stats"))?.[1]);
}

/** Measured in its own process, which can force a garbage collection. */
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
