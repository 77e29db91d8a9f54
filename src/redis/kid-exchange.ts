import type { RedisClient } from "./client.ts";
import { names } from "./names.ts";
import { pairs, texts } from "./replies.ts";

/** An instance that has not been heard of for so long has ended. */
const SILENT_AFTER_MS = 20_000;

export interface KidExchange {
  /** Says which keys this instance accepts, and hears what the others do. To be called every few seconds. */
  beat(): Promise<void>;
  /**
   * How many instances started earlier, when this one accepts no key of any of them: its secret is another one.
   * Undefined while all is well.
   */
  strangers(): number | undefined;
  /** The keys that others sign with and this one has not: a move of a rotation came before the last one was everywhere. */
  unknownSigners(): readonly string[];
  leave(): Promise<void>;
}

export interface KidExchangeOptions {
  readonly instanceId: string;
  /** Keyed digests, or names: nothing that helps to guess a secret. The one that signs first. */
  readonly kids: () => readonly string[];
}

/** Finds out whether all instances of a fleet were given the same secrets. Its only clock is Redis's, which they share. */
export function createKidExchange(client: RedisClient, options: KidExchangeOptions): KidExchange {
  const { instanceId } = options;
  let startedMs: number | undefined;
  let strangers: number | undefined;
  let unknownSigners: readonly string[] = [];
  return {
    strangers: () => strangers,
    unknownSigners: () => unknownSigners,
    async beat() {
      const nowMs = await storeTimeMs(client);
      const started = startedMs ?? nowMs;
      startedMs = started;
      const kids = options.kids();
      await client.command("HSET", names.kids, instanceId, `${started} ${nowMs} ${kids.join(" ")}`);
      const others = pairs(await client.command("HGETALL", names.kids))
        .filter(([id]) => id !== instanceId)
        .map(([id, text]) => ({ id, ...readBeat(text) }));
      const silent = others.filter(({ beatMs }) => beatMs < nowMs - SILENT_AFTER_MS);
      for (const { id } of silent) await client.command("HDEL", names.kids, id);
      const living = others.filter((other) => !silent.includes(other));
      // Of two that started in one millisecond the names decide, so that one of them is the elder.
      const elder = living.filter(
        (other) => other.startedMs < started || (other.startedMs === started && other.id < instanceId),
      );
      const shares = elder.some((other) => other.kids.some((kid) => kids.includes(kid)));
      strangers = elder.length > 0 && !shares ? elder.length : undefined;
      const signers = living.flatMap((other) => other.kids.slice(0, 1));
      unknownSigners = [...new Set(signers)].filter((kid) => !kids.includes(kid)).sort();
    },
    async leave() {
      await client.command("HDEL", names.kids, instanceId);
    },
  };
}

async function storeTimeMs(client: RedisClient): Promise<number> {
  const [seconds, microseconds] = texts(await client.command("TIME")).map(Number);
  return (seconds ?? 0) * 1000 + Math.floor((microseconds ?? 0) / 1000);
}

function readBeat(text: string) {
  const [startedMs, beatMs, ...kids] = text.split(" ");
  return { startedMs: Number(startedMs), beatMs: Number(beatMs), kids };
}
