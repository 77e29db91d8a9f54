import type { AuditEvent } from "../audit/audit-event.ts";
import type { MigrationStep } from "../legacy/migration.ts";
import type { StoredOverride } from "../overrides/override.ts";
import type { FeedEntry } from "../revocation/feed-entry.ts";
import type { Ending } from "../revocation/revocation.ts";
import type { KeyRecord, OwnerCount } from "./key-record.ts";

/** One change of the registry, with everything that the store must write in the same transaction. */
export interface KeyChange {
  /** NumericDate of the decision, by the store's clock. If the store's clock differs, the store writes nothing. */
  readonly nowSeconds: number;
  /** Complete records. Each replaces version − 1 of itself. A record of version 1 must not exist yet. */
  readonly put: readonly KeyRecord[];
  /** Ends a family, the keys issued before a moment, or a key that has no record. */
  readonly end?: Ending;
  readonly override?: OverrideChange;
  readonly requires?: CommitRequirement;
  /** Stored so that a repeated `Idempotency-Key` returns the same key. It must not exist yet. */
  readonly remember?: RememberedCall;
  readonly audit: readonly AuditEvent[];
  /** Hashes by which a V1 key of `put` is no longer found. */
  readonly forgetHashes?: readonly string[];
  /** The new phase for all instances. The outcome is a conflict if the stored phase is not the step's `from`. */
  readonly migration?: MigrationStep;
  /** Published to the other instances in addition to what ends keys. */
  readonly feedEntries?: readonly FeedEntry[];
  /** Freezes the registry, or ends a freeze. */
  readonly freeze?: Freeze | "thaw";
  /** The store has acknowledged the change before, and has lost it. */
  readonly isLost?: true;
}

/** While the registry is frozen, only some changes are written ({@link stopsWhileFrozen}). NumericDates. */
export interface Freeze {
  readonly from: number;
  readonly until: number;
}

/**
 * Whether a freeze stops the change: one that a copy made meanwhile would lack. Revocations go on, because the copy that follows
 * the move brings them. A lost change goes on, because its key is out and no operator could revoke it.
 */
export function stopsWhileFrozen({ put, migration, override, isLost }: KeyChange): boolean {
  if (isLost) return false;
  // An instance follows its policy during a freeze too, because the instances on the other store do the same.
  const isChoice = migration?.to.chosen === true || migration?.from?.chosen === true;
  return put.some(({ revokedAt }) => revokedAt === undefined) || isChoice || override !== undefined;
}

/** Sets or clears an override. The store determines its version. */
export interface OverrideChange extends Omit<StoredOverride, "version"> {
  /** The version of the stored override that the change is based on; 0 for none. Another one is a conflict. */
  readonly replaces: number;
  /** The new version is higher than this, so that it replaces what instances know and the store has lost. */
  readonly above: number;
  /** The store has fewer overrides than this, unless it has one of this subject. */
  readonly below: number;
}

/** Conditions that the store checks at the moment of the write, so that a change that races a revocation loses. */
export interface CommitRequirement {
  /** The family has not ended, and no cut-off ends keys of this role and owner that were issued at this time. */
  readonly living?: {
    readonly family: string;
    readonly role: string;
    readonly owner?: string;
    /** NumericDate. */
    readonly issuedAt: number;
  };
  /** The number of live self-service keys is below this. */
  readonly selfServiceBelow?: number;
  /** The owner has fewer keys that count so ({@link OwnerCount}) than this. */
  readonly ownedBelow?: { readonly owner: string; readonly as: OwnerCount["as"]; readonly below: number };
  /** The phase has ended V1 keys, so keys that never expire are not counted. */
  readonly legacyEnded?: boolean;
  /** The cut-off of the change is later than the stored one and later than every issue date of the keys that it concerns. */
  readonly beyondIssued?: true;
}

export interface RememberedCall {
  /** Digest of the caller and its `Idempotency-Key`. */
  readonly id: string;
  /** Digest of the request. */
  readonly bodyDigest: string;
  readonly keyId: string;
  /** NumericDate from which the call is forgotten. */
  readonly until: number;
}

/** Only `committed` has written anything. */
export type CommitOutcome =
  /**
   * Not `durable`: too few replicas have the change, so a failover may lose it. `auditCursor` is the position of the last
   * audit event in a store that may lose it.
   */
  | {
      readonly kind: "committed";
      readonly durable?: false;
      readonly auditCursor?: string;
      readonly overrideVersion?: number;
    }
  /** Another change came first. Read and decide again. */
  | { readonly kind: "conflict" }
  /** The family has ended, or the issue date is earlier than the cut-off `before` (NumericDate). */
  | { readonly kind: "ended"; readonly before?: number }
  /** The limit of live self-service keys is reached. */
  | { readonly kind: "full" }
  /** The owner has as many keys, or overlapping keys, as it may have. */
  | { readonly kind: "owner_full" }
  /** The maximum number of overrides is reached. */
  | { readonly kind: "too_many_overrides" }
  /** The time of the decision differs from the store's clock, which is `nowMs` (milliseconds). */
  | { readonly kind: "clock"; readonly nowMs: number }
  /** The registry is frozen until then (NumericDate). */
  | { readonly kind: "frozen"; readonly until: number }
  /** The cut-off must be at least `before` (NumericDate). */
  | { readonly kind: "early"; readonly before: number };

/** Maximum difference in seconds between the time of a decision and the store's clock. */
export const DECIDED_WITHIN_SECONDS = 2;
