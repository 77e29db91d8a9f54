/** An audit event about keys. It is written in the same transaction as the change. */
export interface AuditEvent {
  /** Unique. If an event is logged twice, both lines have the same id. */
  readonly eventId: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly event: AuditEventName;
  readonly outcome: "done" | "refused";
  /** Why the operation was denied, or details of it. */
  readonly reason?: string;
  /** The caller: `admin:…`, `key:…`, `anonymous` or `policy`. */
  readonly actor: string;
  /** The client's address, as reported by trusted hops. */
  readonly address?: string;
  readonly requestId?: string;
  readonly keyId?: string;
  readonly family?: string;
  readonly owner?: string;
  readonly role?: string;
  readonly plan?: string;
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
  | "limits_set"
  | "limits_cleared"
  | "legacy_key_registered"
  | "legacy_key_migrated"
  | "legacy_keys_imported"
  | "migration_phase_set"
  /** The store had lost a change. The reason is the event of the change, and what became of it (`lost-record.ts`). */
  | "write_lost"
  | "registry_frozen"
  | "registry_thawed"
  | "console_link_used"
  | "console_signed_out"
  /** A person has signed in by OpenID Connect. */
  | "person_signed_in"
  /** A stored event cannot be decoded. */
  | "damaged";
