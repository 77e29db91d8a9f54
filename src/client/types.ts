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

/** A request whose decision is to be explained. What is left out has a harmless value. */
export interface DescribedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly host?: string;
  readonly scheme?: "http" | "https";
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Envoy's peer. */
  readonly address?: string;
  /** `context_extensions` of Envoy's configuration. */
  readonly extensions?: Readonly<Record<string, string>>;
  readonly key?: string;
  /** `authorization`, `x-api-key`, `cookie:NAME` or `query:NAME`. */
  readonly in?: string;
}

export interface Explanation {
  readonly verdict: "allow" | "deny";
  readonly reason: string;
  /** 200 stands for whatever upstream says. */
  readonly status: number;
  readonly mode: "enforce" | "shadow";
  readonly route: string | null;
  readonly steps: readonly { readonly step: string; readonly saw: string; readonly outcome: string }[];
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
}

export interface AuditEvents {
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
