import type { RedisClient } from "./client.ts";
import { pairs, texts } from "./replies.ts";

/** An instance without a heartbeat for this time has stopped. */
const STOPPED_AFTER_MS = 20_000;
/** After this time without a heartbeat of its own, an instance assumes that the others could send none either. */
const AWAY_AFTER_MS = 10_000;

/**
 * The settings that all instances of a fleet share, as each instance publishes them: the name of a setting, and keyed digests
 * of the values that the instance accepts. The digests do not help to guess a secret. One common digest suffices, because
 * secrets are rotated.
 */
export type SharedSettings = ReadonlyMap<string, readonly string[]>;

export interface KidExchange {
  /** Publishes the digests of this instance and reads those of the others. Must be called every few seconds. */
  heartbeat(): Promise<void>;
  /**
   * The number of instances that started earlier, if this one shares no value of some setting with any of them. It then belongs
   * to another fleet. Undefined otherwise.
   */
  foreignInstances(): number | undefined;
  /** The names of the settings that differ. {@link SIGNING} stands for signing keys. */
  differing(): readonly string[];
  /** Keys that others sign with but this instance does not know: a rotation step came before the previous one was complete. */
  unknownSigners(): readonly string[];
  /** The instances of the last heartbeat, this one first. Empty before the first heartbeat. */
  instances(): readonly InstanceHeartbeat[];
  /** How far this machine's clock is at least ahead of Redis's. Negative: behind. 0 before the first heartbeat. */
  clockAheadMs(): number;
  leave(): Promise<void>;
}

/** What an instance publishes about itself. */
export interface InstanceHeartbeat {
  /** Milliseconds of Redis's clock. */
  readonly startedMs: number;
  readonly lastMs: number;
  /** The first one signs. */
  readonly kids: readonly string[];
  /** Absent: its version does not publish it. */
  readonly version?: string;
  readonly phase?: string;
  /** Decisions per second since its last heartbeat, in decimal digits. */
  readonly allowed?: string;
  readonly denied?: string;
}

/** What other instances only show. */
export type InstanceFacts = Pick<InstanceHeartbeat, "version" | "phase" | "allowed" | "denied">;
const FACTS = { version: true, phase: true, allowed: true, denied: true } as const satisfies Record<
  keyof InstanceFacts,
  true
>;
const FACT_NAMES = ["version", "phase", "allowed", "denied"] as const satisfies (keyof InstanceFacts)[];

/** The name for signing keys, which one of two settings can hold. */
export const SIGNING = "JWT_SECRET or JWT_KEYS_FILE";

export interface KidExchangeOptions {
  readonly instanceId: string;
  /** Keyed digests or names, which do not help to guess a secret. The first one signs. */
  readonly kids: () => readonly string[];
  readonly settings?: SharedSettings;
  /** Values contain no white space. */
  readonly facts?: () => InstanceFacts;
  readonly nowMs?: () => number;
  readonly monotonicMs?: () => number;
}

/** Detects instances of a fleet with different settings. It uses only Redis's clock, which all instances share. */
export function createKidExchange(client: RedisClient, options: KidExchangeOptions): KidExchange {
  const { instanceId, settings = new Map(), nowMs: localNowMs = Date.now } = options;
  const stoppedOf = createStopped(options.monotonicMs ?? (() => performance.now()));
  let startedMs: number | undefined;
  let olderCount = 0;
  let differing: readonly string[] = [];
  let unknownSigners: readonly string[] = [];
  let clockAheadMs = 0;
  let instances: readonly InstanceHeartbeat[] = [];
  return {
    instances: () => instances,
    foreignInstances: () => (differing.length > 0 ? olderCount : undefined),
    differing: () => differing,
    unknownSigners: () => unknownSigners,
    clockAheadMs: () => clockAheadMs,
    async heartbeat() {
      const sentMs = localNowMs();
      const nowMs = await storeTimeMs(client);
      clockAheadMs = aheadOf(nowMs, sentMs, localNowMs());
      const started = startedMs ?? nowMs;
      startedMs = started;
      const own: SharedSettings = new Map([[SIGNING, options.kids()], ...settings]);
      const text = formatHeartbeat(started, nowMs, own, options.facts?.());
      await client.command("HSET", client.keys.kids, instanceId, text);
      const others = await readOthers(client, instanceId);
      const stopped = stoppedOf(others, nowMs);
      for (const { id } of stopped) await client.command("HDEL", client.keys.kids, id);
      const living = others.filter((other) => !stopped.includes(other));
      instances = [parseHeartbeat(instanceId, text), ...living].filter(hasTimes).map(describe);
      // The ids decide between two instances that started in the same millisecond, so that one of them is the older.
      const older = living.filter(
        (other) => other.startedMs < started || (other.startedMs === started && other.id < instanceId),
      );
      olderCount = older.length;
      differing = [...own].filter(([name, mine]) => sharesNothing(older, name, mine)).map(([name]) => name);
      const signers = living.flatMap((other) => other.settings.get(SIGNING)?.slice(0, 1) ?? []);
      const kids = options.kids();
      unknownSigners = [...new Set(signers)].filter((kid) => !kids.includes(kid)).sort();
    },
    async leave() {
      await client.command("HDEL", client.keys.kids, instanceId);
    },
  };
}

/**
 * Returns a function that chooses the instances that have stopped. After an outage or a step of Redis's clock, all heartbeats look old.
 * So an instance that was seen running has stopped only if it sends none for as long while this one sends some.
 */
function createStopped(monotonicMs: () => number) {
  let seen = new Map<string, { readonly lastMs: number; readonly sinceMs: number }>();
  let contactMs = Number.NEGATIVE_INFINITY;
  return (others: readonly Heartbeat[], storeMs: number): readonly Heartbeat[] => {
    const nowMs = monotonicMs();
    const wasAway = nowMs - contactMs > AWAY_AFTER_MS;
    contactMs = nowMs;
    const running = others.flatMap((other) => {
      const { id, lastMs } = other;
      const last = seen.get(id);
      const isSame = !wasAway && last?.lastMs === lastMs;
      const sinceMs = isSame ? last.sinceMs : nowMs;
      const isOld = lastMs < storeMs - STOPPED_AFTER_MS;
      const isStopped = isOld && (last === undefined || nowMs - sinceMs >= STOPPED_AFTER_MS);
      return isStopped ? [] : [[id, { lastMs, sinceMs }] as const];
    });
    seen = new Map(running);
    return others.filter(({ id }) => !seen.has(id));
  };
}

/** Redis read its clock between our two readings, so a difference within the round trip does not count. */
function aheadOf(storeMs: number, sentMs: number, receivedMs: number): number {
  if (sentMs > storeMs) return sentMs - storeMs;
  return receivedMs < storeMs ? receivedMs - storeMs : 0;
}

/** Instances that do not publish a setting are ignored: their version does not compare it. */
function sharesNothing(older: readonly Heartbeat[], name: string, mine: readonly string[]): boolean {
  const theirs = older.map(({ settings }) => settings.get(name) ?? []).filter(({ length }) => length > 0);
  if (theirs.length === 0 || mine.length === 0) return false;
  return !theirs.some((digests) => digests.some((digest) => mine.includes(digest)));
}

async function storeTimeMs(client: RedisClient): Promise<number> {
  const [seconds, microseconds] = texts(await client.command("TIME")).map(Number);
  return (seconds ?? 0) * 1000 + Math.floor((microseconds ?? 0) / 1000);
}

/** The settings of each running instance, without the facts that instances of one fleet need not share. */
export async function readLivingInstances(client: RedisClient): Promise<readonly SharedSettings[]> {
  const nowMs = await storeTimeMs(client);
  const all = await readOthers(client, "");
  return all.filter(({ lastMs }) => lastMs >= nowMs - STOPPED_AFTER_MS).map(sharedSettings);
}

function sharedSettings({ settings }: Heartbeat): SharedSettings {
  return new Map([...settings].filter(([name]) => !Object.hasOwn(FACTS, name)));
}

interface Heartbeat {
  readonly id: string;
  readonly startedMs: number;
  readonly lastMs: number;
  readonly settings: SharedSettings;
}

/** Kids have no prefix, for compatibility with earlier versions. A kid never contains `=`. */
function formatHeartbeat(
  startedMs: number,
  lastMs: number,
  settings: SharedSettings,
  facts: InstanceFacts = {},
): string {
  const words = [...settings].flatMap(([name, digests]) =>
    name === SIGNING ? digests : digests.map((digest) => `${name}=${digest}`),
  );
  // Versions that do not know a fact read it as a setting that they do not compare.
  const factWords = Object.entries(facts).map(([name, value]) => `${name}=${value}`);
  return [startedMs, lastMs, ...words, ...factWords].join(" ");
}

function parseHeartbeat(id: string, text: string): Heartbeat {
  const [startedMs, lastMs, ...words] = text.split(" ");
  const settings = Map.groupBy(words, (word) => /^(\w+)=/.exec(word)?.[1] ?? SIGNING);
  const digestsOf = (list: readonly string[]) => list.map((word) => word.slice(word.indexOf("=") + 1));
  const bySetting = new Map([...settings].map(([name, list]) => [name, digestsOf(list)] as const));
  return { id, startedMs: Number(startedMs), lastMs: Number(lastMs), settings: bySetting };
}

/** The latest time of a `Date`. */
const MAX_TIME_MS = 8.64e15;

/** Whether the times can be shown. An entry that another program wrote may have none. */
function hasTimes({ startedMs, lastMs }: Heartbeat): boolean {
  return [startedMs, lastMs].every((ms) => ms >= 0 && ms <= MAX_TIME_MS);
}

function describe({ startedMs, lastMs, settings }: Heartbeat): InstanceHeartbeat {
  const facts = FACT_NAMES.flatMap((name) => {
    const [value] = settings.get(name) ?? [];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { startedMs, lastMs, kids: settings.get(SIGNING) ?? [], ...Object.fromEntries(facts) };
}

async function readOthers(client: RedisClient, instanceId: string): Promise<readonly Heartbeat[]> {
  return pairs(await client.command("HGETALL", client.keys.kids))
    .filter(([id]) => id !== instanceId)
    .map(([id, text]) => parseHeartbeat(id, text));
}
