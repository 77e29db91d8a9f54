import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";
import { pairs, texts } from "./replies.ts";

/** An instance that has not been heard of for so long has ended. */
const SILENT_AFTER_MS = 20_000;

/**
 * What all instances of a fleet share, as they publish it: for each setting, by its name, keyed digests of what this instance
 * accepts. Nothing that helps to guess a secret. One that is in common is enough, for secrets are rotated.
 */
export type SharedSettings = ReadonlyMap<string, readonly string[]>;

export interface KidExchange {
  /** Publishes what this instance has, and reads what the others have. To be called every few seconds. */
  heartbeat(): Promise<void>;
  /**
   * How many instances started earlier, when this one has nothing in common with any of them in some setting: it belongs
   * to another fleet. Undefined while all is well.
   */
  foreignInstances(): number | undefined;
  /** The names of those settings; signing keys are {@link SIGNING}. */
  differing(): readonly string[];
  /** The keys that others sign with and this one has not: a move of a rotation came before the last one was everywhere. */
  unknownSigners(): readonly string[];
  /** Milliseconds that this machine's clock is ahead of Redis's (negative: behind), at least; 0 before the first beat. */
  clockAheadMs(): number;
  leave(): Promise<void>;
}

/** Stands for the keys that sign, which one of two settings may hold. */
export const SIGNING = "JWT_SECRET or JWT_KEYS_FILE";

export interface KidExchangeOptions {
  readonly instanceId: string;
  /** Keyed digests, or names: nothing that helps to guess a secret. The one that signs first. */
  readonly kids: () => readonly string[];
  readonly settings?: SharedSettings;
  readonly nowMs?: () => number;
}

/** Finds out whether all instances of a fleet were given the same. Its only clock is Redis's, which they share. */
export function createKidExchange(client: RedisClient, options: KidExchangeOptions): KidExchange {
  const { instanceId, settings = new Map(), nowMs: localNowMs = Date.now } = options;
  let startedMs: number | undefined;
  let elders = 0;
  let differing: readonly string[] = [];
  let unknownSigners: readonly string[] = [];
  let clockAheadMs = 0;
  return {
    foreignInstances: () => (differing.length > 0 ? elders : undefined),
    differing: () => differing,
    unknownSigners: () => unknownSigners,
    clockAheadMs: () => clockAheadMs,
    async heartbeat() {
      const askedMs = localNowMs();
      const nowMs = await storeTimeMs(client);
      clockAheadMs = aheadOf(nowMs, askedMs, localNowMs());
      const started = startedMs ?? nowMs;
      startedMs = started;
      const own: SharedSettings = new Map([[SIGNING, options.kids()], ...settings]);
      await client.command("HSET", redisKeys.kids, instanceId, beatText(started, nowMs, own));
      const others = await readOthers(client, instanceId);
      const silent = others.filter(({ beatMs }) => beatMs < nowMs - SILENT_AFTER_MS);
      for (const { id } of silent) await client.command("HDEL", redisKeys.kids, id);
      const living = others.filter((other) => !silent.includes(other));
      // Of two that started in one millisecond the names decide, so that one of them is the elder.
      const elder = living.filter(
        (other) => other.startedMs < started || (other.startedMs === started && other.id < instanceId),
      );
      elders = elder.length;
      differing = [...own].filter(([name, mine]) => hasNothingOf(elder, name, mine)).map(([name]) => name);
      const signers = living.flatMap((other) => other.settings.get(SIGNING)?.slice(0, 1) ?? []);
      const kids = options.kids();
      unknownSigners = [...new Set(signers)].filter((kid) => !kids.includes(kid)).sort();
    },
    async leave() {
      await client.command("HDEL", redisKeys.kids, instanceId);
    },
  };
}

/** Redis has read its clock some time between the two readings of ours: what may be the way there and back is no difference. */
function aheadOf(storeMs: number, askedMs: number, answeredMs: number): number {
  if (askedMs > storeMs) return askedMs - storeMs;
  return answeredMs < storeMs ? answeredMs - storeMs : 0;
}

/** Those who publish nothing of a setting are of a version that does not compare it. */
function hasNothingOf(elder: readonly Beat[], name: string, mine: readonly string[]): boolean {
  const theirs = elder.map(({ settings }) => settings.get(name) ?? []).filter(({ length }) => length > 0);
  if (theirs.length === 0 || mine.length === 0) return false;
  return !theirs.some((digests) => digests.some((digest) => mine.includes(digest)));
}

async function storeTimeMs(client: RedisClient): Promise<number> {
  const [seconds, microseconds] = texts(await client.command("TIME")).map(Number);
  return (seconds ?? 0) * 1000 + Math.floor((microseconds ?? 0) / 1000);
}

interface Beat {
  readonly id: string;
  readonly startedMs: number;
  readonly beatMs: number;
  readonly settings: SharedSettings;
}

/** Kids stand bare, as instances of earlier versions read and write them; no kid has a `=`. */
function beatText(startedMs: number, beatMs: number, settings: SharedSettings): string {
  const words = [...settings].flatMap(([name, digests]) =>
    name === SIGNING ? digests : digests.map((digest) => `${name}=${digest}`),
  );
  return [startedMs, beatMs, ...words].join(" ");
}

async function readOthers(client: RedisClient, instanceId: string): Promise<readonly Beat[]> {
  return pairs(await client.command("HGETALL", redisKeys.kids))
    .filter(([id]) => id !== instanceId)
    .map(([id, text]) => {
      const [startedMs, beatMs, ...words] = text.split(" ");
      const settings = Map.groupBy(words, (word) => /^(\w+)=/.exec(word)?.[1] ?? SIGNING);
      const digestsOf = (list: readonly string[]) => list.map((word) => word.slice(word.indexOf("=") + 1));
      const bySetting = new Map([...settings].map(([name, list]) => [name, digestsOf(list)] as const));
      return { id, startedMs: Number(startedMs), beatMs: Number(beatMs), settings: bySetting };
    });
}
