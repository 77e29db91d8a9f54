import type { RedisClient } from "./client.ts";
import { names } from "./names.ts";
import { pairs } from "./replies.ts";

/** An instance that has not been heard of for so long has ended. */
const SILENT_AFTER_MS = 10_000;

export interface KidExchange {
  /** Says which keys this instance accepts, and hears what the others do. To be called each second. */
  beat(): Promise<void>;
  /**
   * How many instances started earlier, when this one accepts no key of any of them: its secret is another one.
   * Undefined while all is well.
   */
  strangers(): number | undefined;
  leave(): Promise<void>;
}

export interface KidExchangeOptions {
  readonly instanceId: string;
  /** Keyed digests, or names: nothing that helps to guess a secret. */
  readonly kids: () => readonly string[];
  readonly nowMs: () => number;
}

/** Finds out whether all instances of a fleet were given the same secrets. */
export function createKidExchange(client: RedisClient, options: KidExchangeOptions): KidExchange {
  const startedMs = options.nowMs();
  let strangers: number | undefined;
  return {
    strangers: () => strangers,
    async beat() {
      const nowMs = options.nowMs();
      const kids = options.kids();
      await client.command("HSET", names.kids, options.instanceId, `${startedMs} ${nowMs} ${kids.join(" ")}`);
      const others = pairs(await client.command("HGETALL", names.kids))
        .filter(([id]) => id !== options.instanceId)
        .map(([id, text]) => ({ id, ...readBeat(text) }));
      for (const { id, beatMs } of others) {
        if (beatMs < nowMs - SILENT_AFTER_MS) await client.command("HDEL", names.kids, id);
      }
      const elder = others.filter(
        (other) => other.startedMs < startedMs && other.beatMs >= nowMs - SILENT_AFTER_MS,
      );
      const shares = elder.some((other) => other.kids.some((kid) => kids.includes(kid)));
      strangers = elder.length > 0 && !shares ? elder.length : undefined;
    },
    async leave() {
      await client.command("HDEL", names.kids, options.instanceId);
    },
  };
}

function readBeat(text: string) {
  const [startedMs, beatMs, ...kids] = text.split(" ");
  return { startedMs: Number(startedMs), beatMs: Number(beatMs), kids };
}
