import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../../config/load.ts";
import { readStoreConfig } from "../../config/load.ts";
import { redisPlace } from "../../config/redis-place.ts";
import type { Settings } from "../../config/settings.ts";
import { readText } from "../../config/text-file.ts";
import type { CopiedStore } from "../../core/copy/ports.ts";
import { errorMessage } from "../../core/error-message.ts";
import { probeCommands, registryProbe } from "../../redis/acl-probe.ts";
import type { RedisClient, RedisOptions } from "../../redis/client.ts";
import { connectRedis } from "../../redis/client.ts";
import { createCopiedStore } from "../../redis/copied-store.ts";
import { RedisUnavailable } from "../../redis/redis-error.ts";
import type { SpreadClient } from "../../redis/spread-client.ts";
import { spreadOnOneServer } from "../../redis/spread-client.ts";
import type { ClusterSpread } from "../../redis/spread-on-cluster.ts";
import { connectSpread } from "../../redis/spread-on-cluster.ts";
import { randomText } from "../../server/random-id.ts";
import { openCopiedStore } from "../../sqlite/copied-store.ts";

/** No Check waits for the commands of a copy. */
const COMMAND_TIMEOUT_MS = 5000;
/** Below the timeout of commands. */
const REPLICA_TIMEOUT_MS = 4000;
const DATABASE = "latchkey.db";
/** What DATA_DIR may contain before its first start. */
const SECRET_FILES: readonly string[] = ["jwt_secret", "key_hash_secret", "audit_key", "admin_token"];

export type SideName = "source" | "target";

/** The option and the prefix of the variables of each side. */
const NAMES = {
  source: { option: "--from", prefix: "FROM_" },
  target: { option: "--to", prefix: "TO_" },
} as const satisfies Record<SideName, unknown>;

/** Both sides have these settings of the instances. */
const RETENTIONS = ["RECORD_RETENTION", "USAGE_RETENTION_HOURS", "USAGE_RETENTION_DAYS", "AUDIT_RETENTION"];

/** A side that is wrong or cannot be used. The message says what to check. */
export class UnusableSide extends Error {
  override readonly name = "UnusableSide";
  /** Whether the arguments or the variables are wrong. */
  readonly isUsage: boolean;

  constructor(side: SideName, problem: string, isUsage = false) {
    super(`the ${side} (${NAMES[side].option}): ${problem}`);
    this.isUsage = isUsage;
  }
}

export interface Side {
  readonly store: CopiedStore;
  readonly recordRetentionSeconds: number;
  /** When a command of this side failed last, in milliseconds of `performance.now()`. The error of a copy is the latest one. */
  lastFaultMs(): number;
  /** The error with the side. */
  describe(error: unknown): string;
}

/**
 * Opens a store.
 * @param place a URL of Redis or a folder; absent: the store of the instance's settings
 */
export async function openSide(
  side: SideName,
  place: string | undefined,
  environment: Environment,
): Promise<Side> {
  // The place may contain a password, so it is not repeated.
  if (place !== undefined && !place.includes("://") && /[:@]/.test(place))
    throw new UnusableSide(side, "a URL begins with redis://, and a folder has no : or @ in its name", true);
  const config = readStoreConfig(environmentOf(side, place, environment), readText);
  if (!config.ok) throw new UnusableSide(side, config.problems.join("; "), true);
  const { settings } = config;
  return settings.STORE === "redis" ? openRedis(side, settings) : openFolder(side, settings);
}

/**
 * The settings of one side. A side that is named by an argument takes only the variables with its prefix, so that a password of
 * one store is never sent to the other one.
 */
function environmentOf(side: SideName, place: string | undefined, environment: Environment): Environment {
  if (place === undefined) return environment;
  const { prefix } = NAMES[side];
  const own = Object.entries(environment).filter(([name]) => name.startsWith(prefix));
  return {
    ...Object.fromEntries(RETENTIONS.map((name) => [name, environment[name]])),
    ...Object.fromEntries(own.map(([name, value]) => [name.slice(prefix.length), value])),
    ...(place.includes("://")
      ? { STORE: "redis", REDIS_URL: place }
      : { STORE: "embedded", DATA_DIR: place }),
  };
}

async function openRedis(side: SideName, settings: Settings): Promise<Side> {
  let lastFaultMs = 0;
  const observe = (_command: string, _elapsedMs: number, fault?: string) => {
    if (fault !== undefined) lastFaultMs = performance.now();
  };
  const options = {
    recordRetentionSeconds: settings.RECORD_RETENTION,
    waitReplicas: side === "target" ? settings.REDIS_WAIT_REPLICAS : 0,
    replicaTimeoutMs: REPLICA_TIMEOUT_MS,
    newRandom: randomText,
    usageRetention: {
      hoursSeconds: settings.USAGE_RETENTION_HOURS,
      daysSeconds: settings.USAGE_RETENTION_DAYS,
    },
    auditRetentionSeconds: settings.AUDIT_RETENTION,
  };
  const opened: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const one of opened) await one.close();
  };
  try {
    const place = { ...redisPlace(settings), commandTimeoutMs: COMMAND_TIMEOUT_MS, observe };
    const client = await connectRedis(place);
    opened.push(client);
    // The source is only read, so its user needs fewer permissions.
    if (side === "target") await probeCommands(client, registryProbe(client, randomText()));
    const spread = await openSpread(client, side, place);
    if ("close" in spread) opened.push(spread);
    return {
      store: { ...createCopiedStore(client, spread, options), close },
      recordRetentionSeconds: settings.RECORD_RETENTION,
      lastFaultMs: () => lastFaultMs,
      describe: (error) => new UnusableSide(side, problemOf(error)).message,
    };
  } catch (error) {
    await close();
    throw new UnusableSide(side, problemOf(error));
  }
}

async function openSpread(
  client: RedisClient,
  side: SideName,
  { seeds, ...place }: RedisOptions,
): Promise<SpreadClient | ClusterSpread> {
  if (seeds === undefined) return spreadOnOneServer(client);
  const instanceId = randomText();
  return connectSpread({ ...place, seeds, instanceId, isReader: side === "source", onMap: () => undefined });
}

function problemOf(error: unknown): string {
  if (!(error instanceof RedisUnavailable)) return errorMessage(error);
  const { code, message, rejectedSetting } = error;
  if (code === "OOM") return "Redis has no memory left: raise its maxmemory, or remove data of others";
  return rejectedSetting ?? message;
}

function openFolder(side: SideName, settings: Settings): Side {
  const { DATA_DIR: folder, RECORD_RETENTION, AUDIT_RETENTION } = settings;
  const problem = folderProblem(side, folder);
  if (problem !== undefined) throw new UnusableSide(side, problem, true);
  try {
    return {
      store: openCopiedStore(folder, {
        recordRetentionSeconds: RECORD_RETENTION,
        auditRetentionSeconds: AUDIT_RETENTION,
      }),
      recordRetentionSeconds: RECORD_RETENTION,
      lastFaultMs: () => 0,
      describe: errorMessage,
    };
  } catch (error) {
    throw new UnusableSide(side, errorMessage(error));
  }
}

/** A copy must not create a registry in a folder that is something else, and must not take a misspelt name for an empty source. */
function folderProblem(side: SideName, folder: string): string | undefined {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found === undefined)
    return side === "target" ? undefined : `there is no folder ${folder}: check its name`;
  if (!found.isDirectory()) return `${folder} is not a folder`;
  if (existsSync(join(folder, DATABASE))) return undefined;
  const isNew = readdirSync(folder).every((name) => SECRET_FILES.includes(name));
  if (side === "target" && isNew) return undefined;
  return `${folder} is not a data directory: it has no ${DATABASE}; name the DATA_DIR of an instance`;
}
