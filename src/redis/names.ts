import type { OverrideSubject } from "../core/overrides/override.ts";
import type { CutOff } from "../core/revocation/revocation.ts";

/** Minimum number of entries that the feed keeps. An instance that is further behind loads a snapshot. */
export const FEED_LENGTH = 10_000;

/*
 * How a new Redis key gets its name, and which connection reads and writes it:
 *
 * - What must change together with keys, revocations or audit events belongs to the registry: add its name to `registryKeys`,
 *   with `own("…")`, and use a `RedisClient` (client.ts). In a Cluster all these names lie in one slot.
 * - What grows with traffic, and belongs to one subject (a family, an owner), is spread: add its name to `spreadKeys`, with
 *   `of("…", subject, "…")`, and use a `SpreadClient` (spread-client.ts). All names of one subject lie in one slot. Another
 *   subject may be on another node, so no script takes names of two subjects.
 *
 * Both clients have the names in `keys`, so a module never asks which topology it runs on. A script receives every name in
 * KEYS and builds none (test/contract/redis-scripts.test.ts).
 */

/** All names of the registry have this hash tag in a Cluster. */
const REGISTRY_TAG = "{latchkey}:";

/**
 * The Redis keys of the registry. `api_key:*` contains only the records of keys, so that a SCAN of it lists the keys.
 * @param isCluster whether all names lie in one slot of a Cluster
 */
export function registryKeys(isCluster: boolean) {
  const tag = isCluster ? REGISTRY_TAG : "";
  const own: Own = (rest) => `latchkey:${tag}${rest}`;
  const record = (keyId: string) => `api_key:${tag}${keyId}`;
  return {
    key: record,
    /** A placeholder for an unused key of a script, because an ACL may permit only our own Redis keys. */
    nothing: own("nothing"),
    ...keyIndexes(own),
    ...viewNames(own),
    ...fleetNames(own),
    probedRecord: (instanceId: string) => record(`probe:${instanceId}`),
    ...usageNames(own),
  } as const;
}

/** The name of a Redis key of ours. */
type Own = (rest: string) => string;

function keyIndexes(own: Own) {
  return {
    /** Sorted set: key id → sequence number of its creation. */
    byAge: own("keys:by_age"),
    /** The same for one owner. */
    byOwner: (owner: string) => own(`keys:by_owner:${owner}`),
    /** Sorted set: key id → until when the key counts for its owner as active (`ownerCountOf`). */
    activeByOwner: (owner: string) => own(`keys:active_by_owner:${owner}`),
    /** The same, for keys in an overlap. */
    overlapByOwner: (owner: string) => own(`keys:overlap_by_owner:${owner}`),
    /** Sorted set, all with the score 0: "<family>:<sequence number of a key, with 16 digits>". */
    byFamily: own("keys:by_family"),
    /** Sorted set: key id → `exp`. */
    byEnd: own("keys:by_end"),
    /** Sorted set: key id → `exp`, for the keys that a revocation view must know. */
    ended: own("keys:ended"),
    /** Sorted set: key id → `exp`, for the keys that count as self-service (`countsAsSelfService`). */
    selfService: own("keys:self_service"),
    /** Sorted set: key id → NumericDate. */
    lastUsed: own("keys:last_used"),
    sequence: own("sequence"),
  } as const;
}

/** What every instance knows, and the feed by which it learns of changes. */
function viewNames(own: Own) {
  return {
    /** Sorted set: family → NumericDate after which none of its tokens can be alive. */
    endedFamilies: own("ended_families"),
    /** Hash: `scope:subject` → "<before> <until>". */
    cutOffs: own("cut_offs"),
    /** Hash: `f:<family>` or `o:<owner>` → feed entry of its override. */
    overrides: own("overrides"),
    /** Sorted set: field of `overrides` → NumericDate from which nothing needs it; without those that never expire. */
    overridesByEnd: own("overrides:by_end"),
    /** Hash: key id → feed entry of its restriction. Has the same members as `ended`. */
    standings: own("keys:standings"),
    /** The newest issue date (NumericDate) of all keys. A cut-off of now must be later. */
    newest: own("keys:newest"),
    /** The same, without the keys that the cut-off of their own owner dated ahead. */
    newestUncut: own("keys:newest_uncut"),
    /** Hash: the expected number of standings, ended families, cut-offs and overrides, and when some were last found missing. */
    counts: own("counts"),
    /** NumericDate: entries that ran out before this may have been removed. */
    forgotten: own("forgotten"),
    /** Stream of the entries that instances publish. `feedSequence` numbers them without gaps. */
    feed: own("feed"),
    feedSequence: own("feed:sequence"),
  } as const;
}

function fleetNames(own: Own) {
  return {
    /** Hash: instance id → "<start ms> <last heartbeat ms> <digests of the accepted kids>". */
    kids: own("kids"),
    /** The key id of the V1 key with this hash. */
    legacyHash: (hash: string) => own(`legacy:hash:${hash}`),
    /** Sorted set: key id of a V1 key of this role → NumericDate of its last use; 0 before the first use. */
    legacyUse: (role: string) => own(`legacy:use:${role}`),
    /** The same for V1 keys that were not exchanged yet. */
    legacyUnmigrated: (role: string) => own(`legacy:unmigrated:${role}`),
    /** The phase of V1 keys, as a feed entry. */
    migration: own("migration"),
    call: (id: string) => own(`call:${id}`),
    /** Stream of audit events. */
    audit: own("audit"),
    members: own("members"),
    epoch: own("epoch"),
    /** Written before WAIT, so that it covers the writes of other connections. Expires by itself. */
    confirmed: own("confirmed"),
    /** Hash: id of a store that was copied into this one → latest position of its copied audit events; `phase:<id>` → version of its copied phase. */
    copies: own("copies"),
    /** A freeze: "<start> <end>", NumericDates. */
    freeze: own("freeze"),
    /** What the probe of an ACL writes. They expire by themselves. */
    probe: (instanceId: string, part: string) => own(`probe:${instanceId}:${part}`),
    secret: (name: string) => own(`secret:${name}`),
  } as const;
}

/** Of all families. The usage of one family is in {@link spreadKeys}. */
function usageNames(own: Own) {
  return {
    /** Sorted set, all with the score 0: "<owner>\0<family>" of each family with usage. */
    usageSubjects: own("usage:subjects"),
    /** Hash: family with usage → its owner. */
    usageOwners: own("usage:owners"),
    /** Sorted set: family with usage → the last day on which it was used. */
    usageSeen: own("usage:seen"),
    /** Hash: "h<day>" or "d<day>" → estimated bytes of the usage of that day. */
    usageBytes: own("usage:bytes"),
  } as const;
}

export type RegistryKeys = ReturnType<typeof registryKeys>;

/**
 * The Redis keys that are spread over the nodes of a Cluster.
 * @param isCluster whether the subject is a hash tag
 */
export function spreadKeys(isCluster: boolean) {
  // Only the subject is tagged, and no other part can contain a brace. So a subject's text cannot choose a slot.
  const of = (kind: string, subject: string, rest: string) =>
    isCluster
      ? `latchkey:${kind}:{${escapeBraces(subject) || NO_SUBJECT}}:${escapeBraces(rest)}`
      : ["latchkey", kind, ...(rest === "" ? [] : [rest]), subject].join(":");
  return {
    /** @param bucketId as of core/limits/bucket-demands.ts: role or plan, limit and subject */
    bucket(bucketId: string): string {
      // The same name without taking the id apart, because each request for tokens needs it.
      if (!isCluster) return `latchkey:bucket:${bucketId}`;
      const [, limit = "", subject = bucketId] = BUCKET_ID.exec(bucketId) ?? [];
      return of("bucket", subject, limit);
    },
    /** What the probe of the ACL of one node writes. */
    probe: (subject: string, part: string) => of("probe", subject, part),
    /** @param counterId as of core/quotas/quota-demand.ts: quota and subject */
    quota(counterId: string): string {
      const [, quota = "", subject = counterId] = COUNTER_ID.exec(counterId) ?? [];
      return of("quota", subject, quota);
    },
    /** Hash: id of each charge of requests of this hour that the counter has counted. Expires by itself. */
    charges(counterId: string, hour: number): string {
      const [, quota = "", subject = counterId] = COUNTER_ID.exec(counterId) ?? [];
      return of("charges", subject, `${quota}:${hour}`);
    },
    /** Hash: instance id → number of its last counted posting for this day. */
    usagePosted: (family: string, day: number) => of("usage", family, `posted:${day}`),
    /** Hash: hour of the day → counts; see usage.lua. */
    usageHours: (family: string, day: number) => of("usage", family, `hours:${day}`),
    /** Hash: the totals of the day and of its routes. */
    usageDay: (family: string, day: number) => of("usage", family, `day:${day}`),
  } as const;
}

export type SpreadKeys = ReturnType<typeof spreadKeys>;

/** Names of roles, plans and limits contain no colon. */
const BUCKET_ID = /^((?:shadow:)?[^:]*:[^:]*):(.*)$/s;

/** The kind of subject, and the name of a quota, contain no colon. */
const COUNTER_ID = /^quota\/([^:]*:[^:]*):(.*)$/s;

/** Redis takes an empty tag as no tag. No escaped subject is equal to this. */
const NO_SUBJECT = "%";

/** A subject may be any text of a client, such as the owner in a token of another issuer. */
function escapeBraces(text: string): string {
  return text.replace(/[%{}]/g, (brace) => `%${brace.charCodeAt(0).toString(16)}`);
}

/** The field of an override in `RegistryKeys.overrides`. */
export function overrideField({ scope, subject }: OverrideSubject): string {
  return `${scope === "family" ? "f" : "o"}:${subject}`;
}

/** The field of a cut-off in `RegistryKeys.cutOffs`. */
export function cutOffField({ scope, subject }: Pick<CutOff, "scope" | "subject">): string {
  return `${scope}:${subject}`;
}
