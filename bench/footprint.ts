import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startChild } from "../scripts/child.ts";
import { parseJson } from "../scripts/latchkey-process.ts";
import { registerKey } from "../test/support/keys.ts";
import type { TestedRedis } from "../test/support/redis.ts";
import { startRedis } from "../test/support/redis.ts";
import { startVariant } from "./candidates/candidate.ts";
import { sendChecks } from "./many-tokens.ts";
import { residentMb } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import type { Figures } from "./rounds.ts";
import type { Scale } from "./scale.ts";
import { checkOf, signTokens } from "./tokens.ts";

const REGISTERED = 200;

/** Memory, commands of the store, and the start: counted once, for they hardly vary. */
export async function footprint(_redis: TestedRedis, { keys, requests }: Scale): Promise<Section> {
  const redis = await startRedis();
  const startMs = performance.now();
  const latchkey = await startVariant({ name: "Latchkey", redis });
  try {
    const readyMs = performance.now() - startMs;
    const bytesBefore = await redisBytes(redis);
    for (let i = 0; i < REGISTERED; i++) await registerKey(latchkey.http ?? "", "bench");
    const perKeyInRedis = ((await redisBytes(redis)) - bytesBefore) / REGISTERED;
    const [hot = ""] = await signTokens(1);
    await sendChecks(latchkey.grpc, [checkOf(hot)], requests);
    const commandsBefore = await redisCommands(redis);
    const { seconds } = await sendChecks(latchkey.grpc, [checkOf(hot)], requests);
    const commands = (await redisCommands(redis)) - commandsBefore;
    const tokens = await signTokens(keys, 1);
    await sendChecks(latchkey.grpc, tokens.map(checkOf), keys);
    const rows = new Map<string, Figures>([
      ["start to ready, ms", only(readyMs)],
      ["bytes of heap for each cached key and its bucket", only(await heapPerKey(keys))],
      [`MB resident after ${keys.toLocaleString("en")} active keys`, only(await residentMb(latchkey.pid))],
      ["bytes in Redis for each registered key", only(perKeyInRedis)],
      ["Redis commands for 100 Checks of one key, heartbeat and all", only((100 * commands) / requests)],
      ["of these, Checks a second", only(requests / seconds)],
    ]);
    return section("footprint", "What it takes", "start to ready, ms", rows);
  } finally {
    await latchkey.stop();
    await redis.stop();
  }
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
