import { readFileSync } from "node:fs";
import { ownerOf } from "../core/decision/principal.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { countsAsSelfService, NEVER } from "../core/keys/key-record.ts";
import { encodeRecord } from "../core/keys/key-record-codec.ts";
import type { CommitOutcome, KeyChange, KeyStore } from "../core/keys/ports.ts";
import { DECIDED_WITHIN_SECONDS } from "../core/keys/ports.ts";
import { commitBelowCap } from "../core/keys/self-service-cap.ts";
import type { MigrationState, MigrationStep } from "../core/legacy/migration.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { CutOff } from "../core/revocation/revocation.ts";
import { endsKey, restrictionOf } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";

const SOURCE = readFileSync(new URL("./scripts/commit.lua", import.meta.url), "utf8");

const INDEXES = [
  redisKeys.sequence,
  redisKeys.byAge,
  redisKeys.byEnd,
  redisKeys.ended,
  redisKeys.endedFamilies,
  redisKeys.cutOffs,
  redisKeys.selfService,
  redisKeys.audit,
  redisKeys.standings,
  redisKeys.feed,
  redisKeys.feedSequence,
  redisKeys.epoch,
  redisKeys.migration,
  redisKeys.newest,
  redisKeys.counts,
  redisKeys.newestUncut,
];

/** Entries that the feed keeps at least: whoever is further behind loads a snapshot. */
export const FEED_LENGTH = 10_000;

/** A record outlives its retention by this, so that the sweep still learns from it which owner's index it stands in. */
export const SWEEP_GRACE_SECONDS = 86_400;

/** The registry's one write: checks what the change requires and writes all of it, in one script. */
export function createCommit(
  client: RedisClient,
  options: CommitOptions,
  release: (limit: number) => Promise<number>,
): KeyStore["commit"] {
  const run = client.script(SOURCE, "commit");
  const attempt = async (change: KeyChange): Promise<CommitOutcome> => {
    const records = change.put.flatMap(namesOf);
    const call = change.remember === undefined ? redisKeys.nothing : redisKeys.call(change.remember.id);
    const forgotten = (change.forgetHashes ?? []).map(redisKeys.legacyHash);
    const wire = toWire(change, options.recordRetentionSeconds + SWEEP_GRACE_SECONDS);
    const body = { ...wire, feedLength: FEED_LENGTH, newEpoch: options.newRandom() };
    const connection = client.connections();
    const outcome = toOutcome(
      await run([...INDEXES, ...records, call, ...forgotten], [JSON.stringify(body)]),
    );
    if (outcome.kind !== "committed" || options.waitReplicas === 0) return outcome;
    const durable = (await isReplicated(client, options)) && client.connections() === connection;
    return durable ? outcome : { ...outcome, durable: false };
  };
  return (change) => commitBelowCap(() => attempt(change), release);
}

/** Waits for replicas alone: nothing is written. */
export function createConfirm(client: RedisClient, options: CommitOptions): KeyStore["confirm"] {
  return async () => {
    if (options.waitReplicas === 0) return true;
    // WAIT waits for what was written, by whomever, before the last command of its own connection.
    await client.command("GET", redisKeys.epoch);
    return isReplicated(client, options);
  };
}

export interface CommitOptions {
  readonly recordRetentionSeconds: number;
  /** Replicas that must have a change before it is answered; 0 does not wait. */
  readonly waitReplicas: number;
  /** Milliseconds to wait for them. */
  readonly replicaTimeoutMs: number;
  /** Names the epoch of a store that has none. */
  readonly newRandom: () => string;
}

/**
 * Redis replicates after it has answered: without waiting a failover can lose what was acknowledged. On another connection
 * the answer says nothing: it may lead to a new primary, which never had the write.
 */
async function isReplicated(client: RedisClient, { waitReplicas, replicaTimeoutMs }: CommitOptions) {
  try {
    return Number(await client.command("WAIT", waitReplicas, replicaTimeoutMs)) >= waitReplicas;
  } catch {
    return false; // The change is made; that nobody knows more is what the answer says.
  }
}

/** Reads an end as commit.lua writes it. */
export function createFindEnd(client: RedisClient): KeyStore["findEnd"] {
  return async (of) => {
    if (of.kind === "family") {
      const until = await client.command("ZSCORE", redisKeys.endedFamilies, of.family);
      return until === null ? undefined : { end: { ...of, until: Number(until) }, isBeyondIssued: true };
    }
    // The dates after the cut-off: a key that is dated in between is not overlooked.
    const cut = await client.command("HGET", redisKeys.cutOffs, cutOffField(of));
    const newest = await client.command("GET", redisKeys.newest);
    const time = await client.command("TIME");
    const [, before, until] = /^(\d+) (\d+)$/.exec(String(cut)) ?? [];
    if (before === undefined) return undefined;
    const [now]: readonly unknown[] = Array.isArray(time) ? time : [];
    return {
      end: { ...of, before: Number(before), until: Number(until) },
      // The store does not know all dates: other issuers give theirs, and a failover may have lost some.
      isBeyondIssued: newest !== null && Math.max(Number(newest), Number(now)) < Number(before),
    };
  };
}

function cutOffField({ scope, subject }: Pick<CutOff, "scope" | "subject">): string {
  return `${scope}:${subject}`;
}

/** The names that the script takes for one record. */
export function namesOf({ keyId, owner, role, legacy }: KeyRecord): readonly string[] {
  return [
    redisKeys.key(keyId),
    owner === undefined ? redisKeys.nothing : redisKeys.byOwner(owner),
    legacy === undefined ? redisKeys.nothing : redisKeys.legacyHash(legacy.hash),
    legacy === undefined ? redisKeys.nothing : redisKeys.legacyUse(role),
    legacy === undefined ? redisKeys.nothing : redisKeys.legacyHash(legacy.alias ?? legacy.hash),
    legacy === undefined ? redisKeys.nothing : redisKeys.legacyUnmigrated(role),
  ];
}

function toWire(change: KeyChange, forgetAfterSeconds: number) {
  const { nowSeconds, put, end, requires, remember, audit, migration, feedEntries: tell = [] } = change;
  return {
    tell: tell.map(encodeFeedEntry),
    ...(migration && { migration: stepToWire(migration) }),
    now: nowSeconds,
    within: DECIDED_WITHIN_SECONDS,
    ...(requires?.living && { living: livingToWire(requires.living) }),
    ...(requires?.selfServiceBelow !== undefined && {
      selfServiceBelow: requires.selfServiceBelow,
      selfServiceUntil: requires.legacyEnded ? `(${NEVER}` : "+inf",
    }),
    ...(requires?.beyondIssued && { beyondIssued: true }),
    put: put.map((record) => recordToWire(record, forgetAfterSeconds)),
    ...(remember && {
      call: {
        text: JSON.stringify([remember.bodyDigest, remember.keyId, remember.until]),
        until: remember.until,
      },
    }),
    ...(end && { endEntry: encodeFeedEntry(end) }),
    ...(end?.kind === "key" && {
      endKey: { id: end.keyId, expiresAt: end.expiresAt, entry: encodeFeedEntry(end) },
    }),
    ...(end?.kind === "family" && { endFamily: { family: end.family, until: end.until } }),
    ...(end?.kind === "cutoff" && {
      cutOff: { field: cutOffField(end), before: end.before, until: end.until },
    }),
    audit: audit.map((event) => JSON.stringify(event)),
  };
}

function stepToWire({ from, to }: MigrationStep) {
  const textOf = (state: MigrationState) => encodeFeedEntry({ kind: "phase", state });
  return { ...(from && { from: textOf(from) }), to: textOf(to) };
}

function livingToWire(living: NonNullable<NonNullable<KeyChange["requires"]>["living"]>) {
  const { family, role, issuedAt } = living;
  return { family, issuedAt, cutOffs: ["all:", `role:${role}`, `owner:${ownerOf(living)}`] };
}

export function recordToWire(record: KeyRecord, forgetAfterSeconds: number) {
  const standing = restrictionOf(record);
  return {
    id: record.keyId,
    version: record.version,
    text: encodeRecord(record),
    issuedAt: record.issuedAt,
    expiresAt: record.expiresAt,
    forgetAt: record.expiresAt + forgetAfterSeconds,
    ownerCut: cutOffField({ scope: "owner", subject: ownerOf(record) }),
    selfService: countsAsSelfService(record),
    owned: record.owner !== undefined,
    hashed: record.legacy !== undefined,
    migrated: record.legacy?.migratedAt !== undefined,
    entry: encodeFeedEntry(standing),
    ended: endsKey(standing),
  };
}

function toOutcome(reply: unknown): CommitOutcome {
  const [kind, number]: readonly unknown[] = Array.isArray(reply) ? reply : [];
  if (kind === "committed" || kind === "conflict" || kind === "full") return { kind };
  if (kind === "ended") return number === undefined ? { kind } : { kind, before: Number(number) };
  if (kind === "early") return { kind, before: Number(number) };
  if (kind === "clock") return { kind, nowMs: Number(number) };
  throw new Error("commit.lua answered something else");
}
