import { readFileSync } from "node:fs";
import type { CommitOutcome, KeyChange } from "../core/keys/key-change.ts";
import type { KeyWriter } from "../core/keys/ports.ts";
import { commitBelowCap } from "../core/keys/self-service-cap.ts";
import type { RedisClient } from "./client.ts";
import { namesOf, SWEEP_GRACE_SECONDS, toOutcome, toWire } from "./commit-wire.ts";
import type { RegistryKeys } from "./names.ts";
import { FEED_LENGTH } from "./names.ts";

const SOURCE = readFileSync(new URL("./scripts/commit.lua", import.meta.url), "utf8");

const indexesOf = (keys: RegistryKeys) => [
  keys.sequence,
  keys.byAge,
  keys.byEnd,
  keys.ended,
  keys.endedFamilies,
  keys.cutOffs,
  keys.selfService,
  keys.audit,
  keys.standings,
  keys.feed,
  keys.feedSequence,
  keys.epoch,
  keys.migration,
  keys.newest,
  keys.counts,
  keys.newestUncut,
  keys.overrides,
  keys.overridesByEnd,
];

export interface CommitOptions {
  /** How long a record stays after its key's end, so that an expired key is not reported as unknown. */
  readonly recordRetentionSeconds: number;
  /** The number of replicas that must have a change before it is acknowledged. 0 does not wait. */
  readonly waitReplicas: number;
  /** Milliseconds to wait for replicas. */
  readonly replicaTimeoutMs: number;
  /** Makes the id of the epoch for a store that has none. */
  readonly newRandom: () => string;
}

/** The writes of the registry. A commit checks the requirements of a change and writes all of it, in one script. */
export function createKeyWriter(
  client: RedisClient,
  options: CommitOptions,
  release: (limit: number) => Promise<number>,
): KeyWriter {
  const run = client.script(SOURCE, "commit");
  const attempt = async (change: KeyChange): Promise<CommitOutcome> => {
    const records = change.put.flatMap((record) => namesOf(client.keys, record));
    const call = change.remember === undefined ? client.keys.nothing : client.keys.call(change.remember.id);
    const forgotten = (change.forgetHashes ?? []).map(client.keys.legacyHash);
    const wire = toWire(change, options.recordRetentionSeconds + SWEEP_GRACE_SECONDS);
    const body = { ...wire, feedLength: FEED_LENGTH, newEpoch: options.newRandom() };
    const connection = client.connections();
    const outcome = toOutcome(
      await run([...indexesOf(client.keys), ...records, call, ...forgotten], [JSON.stringify(body)]),
    );
    if (outcome.kind !== "committed" || options.waitReplicas === 0) return outcome;
    const durable = (await isReplicated(client, options)) && client.connections() === connection;
    return durable ? outcome : { ...outcome, durable: false };
  };
  return {
    commit: (change) => commitBelowCap(() => attempt(change), release),
    async confirm() {
      if (options.waitReplicas === 0) return true;
      // WAIT covers every write before the last command of its own connection, so a command must come first.
      await client.command("GET", client.keys.epoch);
      return isReplicated(client, options);
    },
  };
}

/**
 * Redis replicates after its reply, so a failover can lose an acknowledged write without this wait. On another connection the
 * result is meaningless: that may lead to a new primary, which never had the write.
 */
async function isReplicated(client: RedisClient, { waitReplicas, replicaTimeoutMs }: CommitOptions) {
  try {
    return Number(await client.command("WAIT", waitReplicas, replicaTimeoutMs)) >= waitReplicas;
  } catch {
    return false; // The change is written, but its replication is unknown.
  }
}
