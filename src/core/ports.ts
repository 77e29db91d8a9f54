import type { AuditEvent } from "./audit-event.ts";
import type { RateStatus } from "./decision.ts";
import type { Eventual } from "./eventual.ts";
import type { FeedEntry } from "./feed-entry.ts";
import type { KeyRecord } from "./key-record.ts";
import type { MigrationState, MigrationStep } from "./migration.ts";
import type { RateLimit } from "./policy.ts";
import type { Principal } from "./principal.ts";
import type { Ending, Revocation } from "./revocation-view.ts";
import type { RefusedToken } from "./token-refusal.ts";

/** What a verifier says of a presented key. A failure is a value; an exception means that it could not tell. */
export type Verification =
  | { readonly ok: true; readonly principal: Principal }
  | {
      readonly ok: false;
      readonly reason: "credential_invalid" | "credential_unavailable";
      /** For operators alone. */
      readonly refused?: RefusedToken;
    }
  /** Everything else about the key is good, so its holder may still revoke it. */
  | { readonly ok: false; readonly reason: "key_expired"; readonly principal: Principal };

export interface KeyVerifier {
  /**
   * Checks signature, issuer, audience, claims and times of one token, whatever it holds.
   * Answers at once for a token that it has seen. It knows nothing of revocation, roles or scopes. `client` is the address of
   * whoever presents it, which a look-up is charged to; absent where somebody asks for others.
   */
  verify(token: string, nowMs: number, client?: () => string): Eventual<Verification>;
  /** Whether {@link verify} would look the token up in the store now; absent where it never does. */
  needsStore?(token: string): boolean;
}

/** What a request wants of one bucket. */
export interface BucketDemand {
  /** Names the bucket for all instances: role, limit and whom it counts. */
  readonly bucketId: string;
  readonly limit: RateLimit;
}

export type TakeOutcome =
  | { readonly ok: true; readonly rates: readonly RateStatus[] }
  | {
      readonly ok: false;
      readonly reason: "rate_limited" | "limits_unavailable";
      /** Whole seconds, from 1: a lone client that waits so long is admitted. */
      readonly retryAfterSeconds: number;
      readonly rates: readonly RateStatus[];
    };

export interface BucketStore {
  /**
   * Takes `cost` tokens (a whole number from 0, at most each capacity) from every bucket, or from none.
   * A cost of 0 is always admitted.
   */
  take(demands: readonly BucketDemand[], cost: number, nowMs: number): Eventual<TakeOutcome>;
}

/** What a bucket holds at this moment. */
export interface BucketLevel {
  readonly limit: RateLimit;
  /** Tokens that nobody has taken; not necessarily whole. */
  readonly tokens: number;
  /** Whole tokens that instances hold in leases. */
  readonly leasedTokens: number;
}

/** What operators may do with buckets. */
export interface BucketAdmin {
  levels(demands: readonly BucketDemand[], nowMs: number): Promise<readonly BucketLevel[]>;
  /** Fills the buckets. Leases that are out end within their second. */
  reset(demands: readonly BucketDemand[]): Promise<void>;
}

/** A family that ends, or keys issued before a moment. */
export type KeyEnd = Extract<Revocation, { kind: "family" | "cutoff" }>;

export interface WrittenEnd {
  readonly end: KeyEnd;
  /**
   * Whether a cut-off lies beyond every date that keys were given so far: those that the store knows, and its own time, for other
   * issuers' tokens. Writing it anew would end no key more.
   */
  readonly isBeyondIssued: boolean;
}

/** One change of the registry, with everything that must be written in the same transaction. */
export interface KeyChange {
  /** NumericDate at which it was decided, by the store's clock: at another time than that of the write nothing is written. */
  readonly nowSeconds: number;
  /** Records written whole. Each replaces `version − 1` of itself; version 1 must not be there yet. */
  readonly put: readonly KeyRecord[];
  /** A family that ends, keys issued before a moment, or a key of which there is no record. */
  readonly end?: Ending;
  readonly requires?: CommitRequirement;
  /** What makes the same `Idempotency-Key` give the same answer; it must not be there yet. */
  readonly remember?: RememberedCall;
  readonly audit: readonly AuditEvent[];
  /** Hashes by which a V1 key of `put` is found no longer. */
  readonly forgetHashes?: readonly string[];
  /** The phase, for all instances; a conflict where the store has another one than it comes from. */
  readonly migration?: MigrationStep;
  /** What other instances hear beside what ends keys. */
  readonly tell?: readonly FeedEntry[];
}

/** How many V1 keys of a role there are, and how many were used since each of the moments that were asked for. */
export interface LegacyUse {
  readonly keys: number;
  readonly used: readonly number[];
  /** Those of them that were not exchanged for V2 keys yet. */
  readonly unmigrated: { readonly keys: number; readonly used: readonly number[] };
}

/** What must hold at the moment of the write, so that a change that races a revocation loses. */
export interface CommitRequirement {
  /** Neither this family has ended, nor keys of this role and owner that were issued at this time. */
  readonly living?: {
    readonly family: string;
    readonly role: string;
    readonly owner?: string;
    /** NumericDate. */
    readonly issuedAt: number;
  };
  /** Fewer live self-service keys than this. */
  readonly selfServiceBelow?: number;
  /** V1 keys have ended by the phase: those that never expire are not counted. */
  readonly legacyEnded?: boolean;
  /** The cut-off of the change lies beyond every date that the keys it concerns were given so far, and beyond the one that is stored. */
  readonly beyondIssued?: true;
}

export interface RememberedCall {
  /** Digest of the caller and its `Idempotency-Key`. */
  readonly id: string;
  /** Digest of what was asked. */
  readonly bodyDigest: string;
  readonly keyId: string;
  /** NumericDate from which it is forgotten. */
  readonly until: number;
}

export type CommitOutcome =
  /** Not `durable`: too few replicas have it yet, so it may be lost in a failover. */
  | { readonly kind: "committed"; readonly durable?: false }
  /** Somebody else was quicker: read again, decide again. Nothing was written. */
  | { readonly kind: "conflict" }
  /** The family has ended, or the issue time lies before the cut-off `before` (NumericDate). Nothing was written. */
  | { readonly kind: "ended"; readonly before?: number }
  /** As many live self-service keys as there may be. Nothing was written. */
  | { readonly kind: "full" }
  /** It was decided at another time than the store's clock has, which is this (milliseconds). Nothing was written. */
  | { readonly kind: "clock"; readonly nowMs: number }
  /** The cut-off must be this (NumericDate) at least. Nothing was written. */
  | { readonly kind: "early"; readonly before: number };

/** Seconds that the time of a decision may differ from the store's. */
export const DECIDED_WITHIN_SECONDS = 2;

/** A part of the registry in the order of making. Keys made later come on later pages. */
export interface KeyPage {
  /** Each with the cursor that goes on after it. */
  readonly entries: readonly { readonly record: KeyRecord; readonly cursor: string }[];
  /** Where the next page begins; absent on the last one. Opaque. */
  readonly nextCursor?: string;
}

/**
 * The registry. Every method rejects when the store cannot be asked, and then nothing has been written, or, where
 * a reply was lost, a repetition of the same change answers `conflict`.
 */
export interface KeyStore {
  load(keyId: string): Promise<KeyRecord | undefined>;
  /** The whole change or nothing, durable before the answer. */
  commit(change: KeyChange): Promise<CommitOutcome>;
  /** The end that is written for the same family, or the same scope and subject. */
  findEnd(of: KeyEnd): Promise<WrittenEnd | undefined>;
  /** Whether every earlier change is as durable as one that is acknowledged. Writes nothing. */
  confirm(): Promise<boolean>;
  /** The V1 key that is found by one of these hashes; the first one that fits. */
  findLegacy(hashes: readonly string[]): Promise<KeyRecord | undefined>;
  /**
   * Writes V1 keys that are not there yet; says for each whether it was written. One audit event for all, if any was. The
   * caller keeps it to some hundred.
   */
  importLegacy(records: readonly KeyRecord[], audit: AuditEvent): Promise<readonly boolean[]>;
  legacyUse(role: string, since: readonly number[]): Promise<LegacyUse>;
  migration(): Promise<MigrationState | undefined>;
  recall(id: string, nowSeconds: number): Promise<RememberedCall | undefined>;
  /** At most `limit` (1 to 500) records after the cursor, of one owner or of all. */
  page(query: {
    readonly owner?: string;
    readonly cursor?: string;
    readonly limit: number;
  }): Promise<KeyPage | "cursor_unknown">;
  /** All that a revocation view must know, in portions. What has run out is among it: no clock is asked. */
  revocations(): AsyncIterable<readonly Revocation[]>;
  /** Notes when keys were last used (NumericDate); an earlier time never replaces a later one. */
  noteUse(used: ReadonlyMap<string, number>): Promise<void>;
  lastUsed(keyIds: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Keys that have not expired, revoked ones among them; and those that count against the cap of self-service keys. */
  count(nowSeconds: number): Promise<KeyCount>;
  /**
   * Forgets what ran out before this time, and before the store's own: records after their retention, at most `limit`,
   * and what belongs to them. Says how many records.
   */
  sweep(beforeSeconds: number, limit: number): Promise<number>;
}

export interface KeyCount {
  readonly unexpired: number;
  readonly selfService: number;
}

/** An event of the registry, as the store keeps it. */
export interface StoredEvent {
  /** Its place; opaque. */
  readonly cursor: string;
  readonly event: AuditEvent;
}

/** The events of the registry: the store's copy is the truth, the log's is written from it. */
export interface AuditStore {
  /** Events that are in no log yet, for this instance to write; they are given again until they are done. */
  claim(limit: number): Promise<readonly StoredEvent[]>;
  done(cursors: readonly string[]): Promise<void>;
  /**
   * The newest ones, the newest before a place, or those after a place; oldest first. Throws RangeError on a place
   * that is none.
   */
  read(query: {
    readonly after?: string;
    readonly before?: string;
    readonly limit: number;
  }): Promise<readonly StoredEvent[]>;
  /** Forgets what was before that time, milliseconds. */
  sweep(beforeMs: number): Promise<void>;
}

/** Makes the token of a record. */
export interface KeySigner {
  sign(record: KeyRecord): Promise<string>;
}

/** The certificate that a door shows, and whose clients it takes; it may change while the door is open. */
export interface DoorTls {
  /** PEM texts; with `clientCa` only clients with a certificate of it are taken. That there is one does not change. */
  readonly current: () => { readonly cert: string; readonly key: string; readonly clientCa?: string };
  /** Called after each change. Returns the way to stop listening. */
  readonly onChange: (changed: () => void) => () => void;
}
