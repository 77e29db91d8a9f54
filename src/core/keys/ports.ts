import type { LegacyImporter, LegacyKeyReader, LegacyUseReader, PhaseReader } from "../legacy/ports.ts";
import type { OverrideSubject, StoredOverride } from "../overrides/override.ts";
import type { ViewEntry } from "../revocation/instance-view.ts";
import type { Revocation } from "../revocation/revocation.ts";
import type { AcknowledgedChange } from "./change-memory.ts";
import type { CommitOutcome, KeyChange, RememberedCall } from "./key-change.ts";
import type { KeyRecord } from "./key-record.ts";

// Each port is one need of a caller. Every method rejects if the store is unavailable. A write that rejects has either
// written nothing, or its reply was lost; in the second case a repetition of the same change returns `conflict`.

export interface KeyReader {
  load(keyId: string): Promise<KeyRecord | undefined>;
}

export interface KeyWriter {
  /** Writes the whole change or nothing. An acknowledged change is durable. */
  commit(change: KeyChange): Promise<CommitOutcome>;
  /**
   * Whether every earlier change is as durable as an acknowledged change. Writes nothing.
   * @param handedOut stored records whose keys the caller hands out once more
   */
  confirm(handedOut?: readonly KeyRecord[]): Promise<boolean>;
}

/** What a store offers that can lose acknowledged changes. */
export interface LostWriteStore {
  /** Whether the store still has each change: its last audit event, or its first record if it has no event. */
  holdChanges(changes: readonly AcknowledgedChange[]): Promise<readonly boolean[]>;
  /**
   * Enters the record of a key that the store has lost, with its version. If the key has ended since, it is entered as revoked.
   * The outcome is a conflict if the store has a record of the key, or another restriction than it had a moment before.
   */
  enter(
    record: KeyRecord,
    nowSeconds: number,
  ): Promise<
    | { readonly kind: "entered"; readonly record: KeyRecord }
    | { readonly kind: "conflict" }
    | { readonly kind: "clock"; readonly nowMs: number }
  >;
}

/** The end of a family, or of keys issued before a moment. */
export type KeyEnd = Extract<Revocation, { kind: "family" | "cutoff" }>;

export interface WrittenEnd {
  readonly end: KeyEnd;
  /**
   * Whether a cut-off is later than every issue date that the store knows and later than the store's own time, which stands
   * for the tokens of other issuers. A new cut-off would then end no further key.
   */
  readonly isBeyondIssued: boolean;
}

export interface EndReader {
  /** The stored end of the same family, or the stored cut-off of the same scope and subject. */
  findEnd(of: KeyEnd): Promise<WrittenEnd | undefined>;
}

export interface RememberedCallReader {
  recall(id: string, nowSeconds: number): Promise<RememberedCall | undefined>;
}

/** A part of the registry in the order of creation. Keys created later are on later pages. */
export interface KeyPage {
  /** Each record with the cursor that continues after it. */
  readonly entries: readonly { readonly record: KeyRecord; readonly cursor: string }[];
  /** The cursor of the next page. Absent on the last page. Opaque. */
  readonly nextCursor?: string;
}

/** The keys that a store has in one index. An owner's index has no keys of families that own themselves. */
export type ListedKeys = { readonly owner: string } | { readonly family: string };

export interface KeyListing {
  /** At most `limit` (1 to 500) records after the cursor, of one owner, of one family or of all. */
  page(query: {
    readonly of?: ListedKeys;
    readonly cursor?: string;
    readonly limit: number;
  }): Promise<KeyPage | "cursor_unknown">;
}

export interface LastUseReader {
  /** NumericDates by key id. A key that was never used is not in the map. */
  lastUsed(keyIds: readonly string[]): Promise<ReadonlyMap<string, number>>;
}

export interface FreezeReader {
  /** When the freeze ends (NumericDate); undefined if the registry is not frozen at this time (NumericDate). */
  frozenUntil(nowSeconds: number): Promise<number | undefined>;
}

export interface ViewSource {
  /** Everything that an instance's view must know, in portions. Expired entries are included: no clock is read. */
  viewEntries(): AsyncIterable<readonly ViewEntry[]>;
}

export interface OverrideReader {
  /** The stored override of a subject, which may have expired or be cleared. */
  findOverride(of: OverrideSubject): Promise<StoredOverride | undefined>;
}

export interface KeyCount {
  /** Keys that have not expired, including revoked keys. */
  readonly unexpired: number;
  /** Keys that count against `guards.self_service_keys`. */
  readonly selfService: number;
}

export interface OwnerKeyCounter {
  /**
   * The number of keys of the owner that count as active at this time (NumericDate).
   * @param legacyEnded the phase has ended V1 keys, so keys that never expire are not counted
   */
  countOwned(owner: string, nowSeconds: number, legacyEnded: boolean): Promise<number>;
}

/** What an instance does regularly beside its requests. */
export interface Housekeeping {
  /** Records the last use of keys (NumericDate). An earlier time never replaces a later one. */
  noteUse(used: ReadonlyMap<string, number>): Promise<void>;
  count(nowSeconds: number): Promise<KeyCount>;
  /**
   * Removes entries that ran out before this time and before the store's own time, and at most `limit` records whose
   * retention is over. Returns the number of removed records.
   */
  sweep(beforeSeconds: number, limit: number): Promise<number>;
}

/** The registry as a store implements it. Operations take only the ports that they use. */
export interface KeyStore
  extends KeyReader,
    KeyWriter,
    EndReader,
    RememberedCallReader,
    KeyListing,
    LastUseReader,
    FreezeReader,
    ViewSource,
    OverrideReader,
    OwnerKeyCounter,
    Housekeeping,
    LegacyKeyReader,
    LegacyImporter,
    LegacyUseReader,
    PhaseReader {}

/** Signs the token of a record. */
export interface KeySigner {
  sign(record: KeyRecord): Promise<string>;
}
