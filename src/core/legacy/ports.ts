import type { AuditEvent } from "../audit/audit-event.ts";
import type { CommitOutcome } from "../keys/key-change.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { MigrationState } from "./migration.ts";

/** The form of V1 keys, and how they are stored. */
export interface LegacyForm {
  newKey(): string;
  /** False for a JWT, and for a text that has the form of our keys but an invalid checksum. */
  isPlausible(key: string): boolean;
  /** The digests that are stored instead of the key. */
  storedForm(key: string): { readonly hash: string; readonly alias: string };
  /** All digests under which the key may be stored, those of {@link storedForm} first. */
  hashes(key: string): readonly string[];
  /** The stored digest of a key of which only the SHA-256 (hex) is known. */
  hashOfDigest(sha256Hex: string): string;
}

export interface LegacyKeyReader {
  /** The V1 key that one of these hashes finds. Earlier hashes have precedence. */
  findLegacy(hashes: readonly string[]): Promise<KeyRecord | undefined>;
}

/** A freeze stopped the import until then (NumericDate). A later portion is not written either. */
export type FrozenRegistry = Extract<CommitOutcome, { kind: "frozen" }>;

export interface LegacyImporter {
  /**
   * Writes the V1 keys that do not exist yet. Returns for each record whether it was written. One audit event covers all of
   * them. Callers pass at most a few hundred records.
   */
  importLegacy(
    records: readonly KeyRecord[],
    audit: AuditEvent,
  ): Promise<readonly boolean[] | FrozenRegistry>;
}

/** The number of V1 keys of a role, and how many of them were used since each of the requested moments. */
export interface LegacyUse {
  readonly keys: number;
  readonly used: readonly number[];
  /** The keys that were not exchanged for V2 keys yet. */
  readonly unmigrated: { readonly keys: number; readonly used: readonly number[] };
}

export interface LegacyUseReader {
  /** `since` holds NumericDates. */
  legacyUse(role: string, since: readonly number[]): Promise<LegacyUse>;
}

export interface PhaseReader {
  /** The stored phase of the migration; undefined before the first step. */
  migration(): Promise<MigrationState | undefined>;
}
