import { readFileSync } from "node:fs";
import type { KeyRecord } from "../core/key-record.ts";
import { encodeRecord } from "../core/key-record-text.ts";
import type { CommitOutcome, KeyChange, KeyStore } from "../core/ports.ts";
import type { RedisClient } from "./client.ts";
import { names } from "./names.ts";

const SOURCE = readFileSync(new URL("./commit.lua", import.meta.url), "utf8");

const INDEXES = [
  names.sequence,
  names.byAge,
  names.byEnd,
  names.ended,
  names.endedFamilies,
  names.cutOffs,
  names.selfService,
  names.audit,
];

/** A record outlives its retention by this, so that the sweep still learns from it which owner's index it stands in. */
const SWEEP_GRACE_SECONDS = 86_400;

/** The registry's one write: checks what the change requires and writes all of it, in one script. */
export function createCommit(client: RedisClient, recordRetentionSeconds: number): KeyStore["commit"] {
  const run = client.script(SOURCE);
  return async (change) => {
    const records = change.put.flatMap(({ keyId, owner }) => [
      names.key(keyId),
      owner === undefined ? "" : names.byOwner(owner),
    ]);
    const call = change.remember === undefined ? [] : [names.call(change.remember.id)];
    const forgetAfter = recordRetentionSeconds + SWEEP_GRACE_SECONDS;
    return toOutcome(
      await run([...INDEXES, ...records, ...call], [JSON.stringify(toWire(change, forgetAfter))]),
    );
  };
}

function toWire({ nowSeconds, put, end, requires, remember, audit }: KeyChange, forgetAfterSeconds: number) {
  return {
    now: nowSeconds,
    ...(requires?.living && { living: livingToWire(requires.living) }),
    ...(requires?.selfServiceBelow !== undefined && { selfServiceBelow: requires.selfServiceBelow }),
    put: put.map((record) => recordToWire(record, forgetAfterSeconds)),
    ...(remember && {
      call: {
        text: JSON.stringify([remember.bodyDigest, remember.keyId, remember.until]),
        until: remember.until,
      },
    }),
    ...(end?.kind === "family" && { endFamily: { family: end.family, until: end.until } }),
    ...(end?.kind === "cutoff" && {
      cutOff: { field: `${end.scope}:${end.subject}`, before: end.before, until: end.until },
    }),
    audit: audit.map((event) => JSON.stringify(event)),
  };
}

function livingToWire({
  family,
  role,
  owner,
  issuedAt,
}: NonNullable<NonNullable<KeyChange["requires"]>["living"]>) {
  const cutOffs = ["all:", `role:${role}`, ...(owner === undefined ? [] : [`owner:${owner}`])];
  return { family, issuedAt, cutOffs };
}

function recordToWire(record: KeyRecord, forgetAfterSeconds: number) {
  return {
    id: record.keyId,
    version: record.version,
    text: encodeRecord(record),
    expiresAt: record.expiresAt,
    forgetAt: record.expiresAt + forgetAfterSeconds,
    selfService: record.selfService,
    ended: record.disabled || record.revokedAt !== undefined || record.successor !== undefined,
  };
}

function toOutcome(reply: unknown): CommitOutcome {
  const [kind, before] = Array.isArray(reply) ? reply : [];
  if (kind === "committed" || kind === "conflict" || kind === "full") return { kind };
  if (kind === "ended") return before === undefined ? { kind } : { kind, before: Number(before) };
  throw new Error("commit.lua answered something else");
}
