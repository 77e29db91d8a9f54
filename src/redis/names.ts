/**
 * Every name in Redis is made here. `api_key:*` are the records of keys and nothing else, so that a scan for them
 * lists the keys. A Cluster would have one hash tag in all names but the buckets'.
 */
export const redisKeys = {
  key: (keyId: string) => `api_key:${keyId}`,
  /** Sorted set, key id → sequence number of its making. */
  byAge: "latchkey:keys:by_age",
  /** The same, of one owner. */
  byOwner: (owner: string) => `latchkey:keys:by_owner:${owner}`,
  /** Sorted set, key id → `exp`. */
  byEnd: "latchkey:keys:by_end",
  /** Sorted set, key id → `exp`: keys that a revocation view must know. */
  ended: "latchkey:keys:ended",
  /** Sorted set, key id → `exp`: keys registered without an operator, less those that have ended (`countsAsSelfService`). */
  selfService: "latchkey:keys:self_service",
  /** Sorted set, key id → NumericDate. */
  lastUsed: "latchkey:keys:last_used",
  /** Stands where a script takes a name and there is none: users may only be let at our names. */
  nothing: "latchkey:nothing",
  sequence: "latchkey:sequence",
  /** Sorted set, family → when no token of it can live any more. */
  endedFamilies: "latchkey:ended_families",
  /** Hash, `scope:subject` → "<before> <until>". */
  cutOffs: "latchkey:cut_offs",
  /** Hash, key id → feed entry: what ends or limits it. Its members are those of `ended`. */
  standings: "latchkey:keys:standings",
  /** The newest date (NumericDate) that a key was given: a cut-off of now lies beyond it. */
  newest: "latchkey:keys:newest",
  /** The same, less the keys that were dated by the cut-off of their own owner: it is there itself when that owner ends again. */
  newestUncut: "latchkey:keys:newest_uncut",
  /** Hash of how many standings, ended families and cut-offs there should be, and when some were missed last. */
  counts: "latchkey:counts",
  /** NumericDate: what ran out before may have been forgotten. */
  forgotten: "latchkey:forgotten",
  /** Stream of what instances tell each other; its entries are numbered without gaps by `feedSequence`. */
  feed: "latchkey:feed",
  feedSequence: "latchkey:feed:sequence",
  /** Hash, instance id → "<started ms> <last beat ms> <digests of the kids it accepts>". */
  kids: "latchkey:kids",
  /** The id of the V1 key that is found by this hash. */
  legacyHash: (hash: string) => `latchkey:legacy:hash:${hash}`,
  /** Sorted set, id of a V1 key of this role → NumericDate of its last use; 0 before the first. */
  legacyUse: (role: string) => `latchkey:legacy:use:${role}`,
  /** The same, of those that were not exchanged yet. */
  legacyUnmigrated: (role: string) => `latchkey:legacy:unmigrated:${role}`,
  /** The phase of V1 keys: the feed entry that told it. */
  migration: "latchkey:migration",
  call: (id: string) => `latchkey:call:${id}`,
  /** Stream of audit events. */
  audit: "latchkey:audit",
  bucket: (bucketId: string) => `latchkey:bucket:${bucketId}`,
  members: "latchkey:members",
  epoch: "latchkey:epoch",
  secret: (name: string) => `latchkey:secret:${name}`,
} as const;
