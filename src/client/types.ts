/** What the key API takes and gives. `/openapi.json` says the same; a test compares the two. Times are RFC 3339. */
export interface Registration {
  readonly name: string;
  /** The role. */
  readonly key_type: string;
  readonly metadata?: Readonly<Record<string, JsonValue>>;
  /** A part of the role's. */
  readonly scopes?: readonly string[];
  /** Seconds; at most the role's. */
  readonly ttl?: number;
  /** Operators only. */
  readonly owner?: string;
  /** Networks (CIDR) from which the key is taken; anywhere by default. */
  readonly addresses?: readonly string[];
  /** The client certificate that the key is taken with. */
  readonly cnf?: Confirmation;
}

/** RFC 8705 §3.1: SHA-256 of the certificate's DER, in base64url. */
export interface Confirmation {
  readonly "x5t#S256": string;
}

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

export interface IssuedKey {
  readonly api_key: string;
  readonly key_id: string;
  readonly role: string;
  readonly scopes: readonly string[];
  readonly expires_at: string;
  readonly refresh_after: string;
}

export interface ValidKey {
  readonly valid: true;
  readonly key_id: string;
  readonly role: string;
  readonly scopes: readonly string[];
  /** Null for a V1 key without an end. */
  readonly expires_at: string | null;
}

export interface Introspection {
  readonly active: boolean;
  readonly scope?: string;
  readonly username?: string;
  readonly token_type?: string;
  readonly exp?: number;
  readonly iat?: number;
  readonly nbf?: number;
  readonly sub?: string;
  readonly aud?: string;
  readonly iss?: string;
  readonly jti?: string;
  readonly role?: string;
  readonly family?: string;
  readonly owner?: string;
  readonly addresses?: readonly string[];
  readonly cnf?: Confirmation;
}

export type KeyStatus = "active" | "superseded" | "disabled" | "revoked" | "expired";

export interface Key {
  readonly key_id: string;
  readonly family: string;
  readonly owner: string | null;
  readonly role: string;
  readonly scopes: readonly string[];
  readonly name: string;
  readonly metadata: Readonly<Record<string, JsonValue>> | null;
  readonly status: KeyStatus;
  readonly self_service: boolean;
  /** An opaque (V1) key. */
  readonly legacy: boolean;
  readonly migrated_at: string | null;
  readonly issued_at: string;
  readonly expires_at: string | null;
  readonly refresh_after: string | null;
  readonly superseded_by: string | null;
  readonly superseded_from: string | null;
  readonly revoked_at: string | null;
  readonly last_used_at: string | null;
  readonly addresses: readonly string[] | null;
  readonly cnf: Confirmation | null;
}

export interface KeyList {
  readonly keys: readonly Key[];
  readonly next_cursor: string | null;
}

export interface KeyFilter {
  readonly role?: string;
  readonly owner?: string;
  readonly family?: string;
  readonly status?: KeyStatus;
  readonly name_prefix?: string;
  readonly expiring_before?: string;
  readonly cursor?: string;
  readonly limit?: number;
}

export interface KeyPatch {
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, JsonValue>> | null;
  readonly disabled?: boolean;
}

export interface CutOff {
  readonly before: string;
  readonly role?: string;
  readonly owner?: string;
}

export interface Limits {
  readonly key_id: string;
  readonly limits: readonly {
    readonly name: string;
    readonly per: "key" | "owner" | "role";
    readonly capacity: number;
    readonly refill_per_second: number;
    /** What nobody has taken. */
    readonly tokens: number;
    /** What instances hold ahead of need. */
    readonly leased_tokens: number;
  }[];
}

export interface PolicyInForce {
  readonly hash: string;
  readonly file: string;
  readonly mode: "enforce" | "shadow";
  readonly text: string;
}

export interface Roles {
  readonly roles: readonly {
    readonly name: string;
    readonly scopes: readonly string[];
    readonly ttl_seconds: number;
    readonly refresh_window_seconds: number;
    readonly self_service: boolean;
    readonly may_grant: readonly string[];
    readonly rate_limits: readonly {
      readonly name: string;
      readonly per: "key" | "owner" | "role" | "address";
      readonly capacity: number;
      readonly refill_per_second: number;
    }[];
  }[];
}

export interface Reload {
  readonly result: "taken" | "unchanged";
  readonly hash: string;
}

/** RFC 7517, public members only. */
export interface JwkSet {
  readonly keys: readonly Readonly<Record<string, string>>[];
}

/** What `register_api_key` gives: an opaque key. */
export interface LegacyIssuedKey {
  readonly api_key: string;
  readonly key_id: string;
  readonly role: string;
}

export type Phase = "silent" | "gradual" | "active" | "deprecated" | "removed";

export interface MigrationStatus {
  readonly phase: Phase;
  readonly chosen_by: "policy" | "operator";
  readonly policy_phase: Phase;
  readonly deprecated_at: string | null;
  readonly sunset: string;
  readonly migrate_until: string;
  /** How long an exchanged V1 key stays good from `deprecated` on, or from its exchange if that is later. */
  readonly overlap_seconds: number;
  readonly roles: readonly RoleUse[];
}

/** V1 keys of one role. */
export interface RoleUse extends LegacyUse {
  readonly role: string;
  /** Those of them that were not exchanged yet. */
  readonly unmigrated: LegacyUse;
}

/** V1 keys that there are, and how many of them were used lately. */
export interface LegacyUse {
  readonly keys: number;
  readonly used_last_day: number;
  readonly used_last_week: number;
  readonly used_last_month: number;
}

export interface ImportReport {
  readonly imported: number;
  /** They were there already. */
  readonly known: number;
  readonly refused: readonly { readonly line: number; readonly detail: string }[];
}

export interface ImportOptions {
  readonly dry_run?: boolean;
  /** The number of the first of these lines, for the report. */
  readonly first_line?: number;
}

export interface AuditQuery {
  /** Events after this cursor; the newest ones without. */
  readonly after?: string;
  readonly limit?: number;
  /** What all of them must be. */
  readonly event?: string;
  readonly outcome?: "done" | "refused";
  readonly actor?: string;
  readonly key_id?: string;
  readonly family?: string;
  readonly owner?: string;
  readonly role?: string;
}

export interface AuditEvents {
  /** Where to go on after; null while nothing has ever happened. */
  readonly next_cursor: string | null;
  readonly events: readonly {
    readonly cursor: string;
    readonly event_id: string;
    readonly time: string;
    readonly event: string;
    readonly outcome: "done" | "refused";
    readonly reason: string | null;
    readonly actor: string;
    readonly address: string | null;
    readonly request_id: string | null;
    readonly key_id: string | null;
    readonly family: string | null;
    readonly owner: string | null;
    readonly role: string | null;
  }[];
}
