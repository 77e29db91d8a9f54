/** What happened to keys, for those who must account for it. Written in one transaction with the change itself. */
export interface AuditEvent {
  /** Unique; the same event may reach a log twice, never with two ids. */
  readonly eventId: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly event: AuditEventName;
  readonly outcome: "done" | "refused";
  /** Why it was refused. */
  readonly reason?: string;
  /** Who did it: `admin:…`, `key:…` or `anonymous`. */
  readonly actor: string;
  /** The client's address, as far as trusted hops tell. */
  readonly address?: string;
  readonly requestId?: string;
  readonly keyId?: string;
  readonly family?: string;
  readonly owner?: string;
  readonly role?: string;
}

export type AuditEventName =
  | "key_registered"
  | "key_refreshed"
  | "key_rotated"
  | "key_changed"
  | "key_disabled"
  | "key_enabled"
  | "key_revoked"
  | "family_revoked"
  | "owner_revoked"
  | "keys_cut_off"
  | "legacy_key_registered"
  | "legacy_key_migrated"
  | "legacy_keys_imported"
  | "migration_phase_set"
  /** What a store has kept cannot be read. */
  | "damaged";
