import type { AuditEvent } from "../audit/audit-event.ts";
import type { MigrationState, MigrationStep } from "../legacy/migration.ts";
import type { LegacyUse } from "../legacy/ports.ts";
import type { FeedEntry } from "../revocation/feed-entry.ts";
import type { Ending, Revocation } from "../revocation/revocation.ts";
import type { KeyRecord } from "./key-record.ts";

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
  readonly feedEntries?: readonly FeedEntry[];
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

/** Makes the token of a record. */
export interface KeySigner {
  sign(record: KeyRecord): Promise<string>;
}
