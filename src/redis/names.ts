import type { OverrideSubject } from "../core/overrides/override.ts";
import type { CutOff } from "../core/revocation/revocation.ts";

/** Minimum number of entries that the feed keeps. An instance that is further behind loads a snapshot. */
export const FEED_LENGTH = 10_000;

/**
 * Every Redis key that Latchkey uses. `api_key:*` contains only the records of keys, so that a SCAN of it lists the keys.
 * A Redis Cluster would need the same hash tag in all of them except the buckets.
 */
export const redisKeys = {
  key: (keyId: string) => `api_key:${keyId}`,
  /** Sorted set: key id → sequence number of its creation. */
  byAge: "latchkey:keys:by_age",
  /** The same for one owner. */
  byOwner: (owner: string) => `latchkey:keys:by_owner:${owner}`,
  /** Sorted set: key id → `exp`. */
  byEnd: "latchkey:keys:by_end",
  /** Sorted set: key id → `exp`, for the keys that a revocation view must know. */
  ended: "latchkey:keys:ended",
  /** Sorted set: key id → `exp`, for the keys that count as self-service (`countsAsSelfService`). */
  selfService: "latchkey:keys:self_service",
  /** Sorted set: key id → NumericDate. */
  lastUsed: "latchkey:keys:last_used",
  /** A placeholder for an unused key of a script, because an ACL may permit only our own Redis keys. */
  nothing: "latchkey:nothing",
  sequence: "latchkey:sequence",
  /** Sorted set: family → NumericDate after which none of its tokens can be alive. */
  endedFamilies: "latchkey:ended_families",
  /** Hash: `scope:subject` → "<before> <until>". */
  cutOffs: "latchkey:cut_offs",
  /** Hash: `f:<family>` or `o:<owner>` → feed entry of its override. */
  overrides: "latchkey:overrides",
  /** Sorted set: field of `overrides` → NumericDate from which nothing needs it; without those that never expire. */
  overridesByEnd: "latchkey:overrides:by_end",
  /** Hash: key id → feed entry of its restriction. Has the same members as `ended`. */
  standings: "latchkey:keys:standings",
  /** The newest issue date (NumericDate) of all keys. A cut-off of now must be later. */
  newest: "latchkey:keys:newest",
  /** The same, without the keys that the cut-off of their own owner dated ahead. */
  newestUncut: "latchkey:keys:newest_uncut",
  /** Hash: the expected number of standings, ended families, cut-offs and overrides, and when some were last found missing. */
  counts: "latchkey:counts",
  /** NumericDate: entries that ran out before this may have been removed. */
  forgotten: "latchkey:forgotten",
  /** Stream of the entries that instances publish. `feedSequence` numbers them without gaps. */
  feed: "latchkey:feed",
  feedSequence: "latchkey:feed:sequence",
  /** Hash: instance id → "<start ms> <last heartbeat ms> <digests of the accepted kids>". */
  kids: "latchkey:kids",
  /** The key id of the V1 key with this hash. */
  legacyHash: (hash: string) => `latchkey:legacy:hash:${hash}`,
  /** Sorted set: key id of a V1 key of this role → NumericDate of its last use; 0 before the first use. */
  legacyUse: (role: string) => `latchkey:legacy:use:${role}`,
  /** The same for V1 keys that were not exchanged yet. */
  legacyUnmigrated: (role: string) => `latchkey:legacy:unmigrated:${role}`,
  /** The phase of V1 keys, as a feed entry. */
  migration: "latchkey:migration",
  call: (id: string) => `latchkey:call:${id}`,
  /** Stream of audit events. */
  audit: "latchkey:audit",
  bucket: (bucketId: string) => `latchkey:bucket:${bucketId}`,
  members: "latchkey:members",
  epoch: "latchkey:epoch",
  secret: (name: string) => `latchkey:secret:${name}`,
} as const;

/** The field of an override in `redisKeys.overrides`. */
export function overrideField({ scope, subject }: OverrideSubject): string {
  return `${scope === "family" ? "f" : "o"}:${subject}`;
}

/** The field of a cut-off in `redisKeys.cutOffs`. */
export function cutOffField({ scope, subject }: Pick<CutOff, "scope" | "subject">): string {
  return `${scope}:${subject}`;
}
