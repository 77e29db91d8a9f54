import type { AcknowledgedChange } from "../core/keys/change-memory.ts";
import type { CommitOutcome, KeyChange } from "../core/keys/key-change.ts";
import type { KeyWriter } from "../core/keys/ports.ts";
import { commitBelowCap } from "../core/keys/self-service-cap.ts";
import type { RedisClient } from "./client.ts";
import { namesOf, SWEEP_GRACE_SECONDS, toOutcome, toWire } from "./commit-wire.ts";
import type { RegistryKeys } from "./names.ts";
import { FEED_LENGTH } from "./names.ts";
import { scriptText } from "./script-text.ts";
import type { OwnedKeys } from "./self-service.ts";

const SOURCE = scriptText("commit");

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
  keys.freeze,
  keys.byFamily,
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
  /** Called with what Redis has, and what a failover may lose. */
  readonly onAcknowledged?: (change: AcknowledgedChange) => void;
}

/** Nothing reads what a confirmation writes. */
const CONFIRMED_SECONDS = 60;

type Wire = ReturnType<typeof toWire>;

/** Runs commit.lua. @param adapt changes the form of each record */
export function createCommitScript(
  client: RedisClient,
  { recordRetentionSeconds, newRandom }: Pick<CommitOptions, "recordRetentionSeconds" | "newRandom">,
) {
  const { keys } = client;
  const run = client.script(SOURCE, "commit");
  return async (
    change: KeyChange,
    adapt: (put: Wire["put"][number]) => object = (put) => put,
  ): Promise<CommitOutcome> => {
    const records = change.put.flatMap((record) => namesOf(keys, record));
    const call = change.remember === undefined ? keys.nothing : keys.call(change.remember.id);
    const forgotten = (change.forgetHashes ?? []).map(keys.legacyHash);
    const wire = toWire(change, recordRetentionSeconds + SWEEP_GRACE_SECONDS);
    const body = { ...wire, put: wire.put.map(adapt), feedLength: FEED_LENGTH, newEpoch: newRandom() };
    return toOutcome(await run([...indexesOf(keys), ...records, call, ...forgotten], [JSON.stringify(body)]));
  };
}

/** The writes of the registry. A commit checks the requirements of a change and writes all of it, in one script. */
export function createKeyWriter(
  client: RedisClient,
  options: CommitOptions,
  release: (limit: number) => Promise<number>,
  releaseOwned: (owned: OwnedKeys) => Promise<number>,
): KeyWriter {
  const run = createCommitScript(client, options);
  const attempt = async (change: KeyChange): Promise<CommitOutcome> => {
    const connection = client.connections();
    const outcome = await run(change);
    if (outcome.kind === "committed" && outcome.auditCursor !== undefined)
      options.onAcknowledged?.({ ...change, auditCursor: outcome.auditCursor });
    if (outcome.kind !== "committed" || options.waitReplicas === 0) return outcome;
    const durable = (await isReplicated(client, options)) && client.connections() === connection;
    return durable ? outcome : { ...outcome, durable: false };
  };
  return {
    async commit(change) {
      const outcome = await commitBelowCap(() => attempt(change), release);
      const owned = change.requires?.ownedBelow;
      if (outcome.kind !== "owner_full" || owned === undefined || (await releaseOwned(owned)) === 0)
        return outcome;
      return commitBelowCap(() => attempt(change), release);
    },
    async confirm(handedOut = []) {
      for (const record of handedOut) options.onAcknowledged?.({ put: [record], audit: [] });
      if (options.waitReplicas === 0) return true;
      // WAIT covers every write before the last write of its own connection, and since Redis 7.2 none before a read.
      await client.command("SET", client.keys.confirmed, 1, "EX", CONFIRMED_SECONDS);
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
