// Generated from the schemas of src/api by `npm run client-types`. Do not edit.
// A string that is a time has the format of RFC 3339.

/** Any JSON value. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/**
 * The client certificate that must be presented with the key (RFC 8705 §3.1): SHA-256 of its DER, in
 * base64url.
 */
export interface Confirmation {
  readonly "x5t#S256": string;
}

export type KeyStatus = "active" | "superseded" | "disabled" | "revoked" | "expired";

export type Phase = "silent" | "gradual" | "active" | "deprecated" | "removed";

export interface Registration {
  /** A name for people to read. Latchkey does not verify it. */
  readonly name: string;
  /** The role. */
  readonly key_type: string;
  /** Stored with the key; at most 512 bytes as JSON. */
  readonly metadata?: Readonly<Record<string, JsonValue>>;
  /** A subset of the role's scopes; all of them by default. */
  readonly scopes?: readonly string[];
  /** Lifetime in seconds; at most the role's ttl, which is the default. */
  readonly ttl?: number;
  /** The owner of the key. Only operators may set it. */
  readonly owner?: string;
  /**
   * The plan of the key and its successors. It requires `limits:write`, and a role that lists the plan
   * in `may_assign_plans`.
   */
  readonly plan?: string;
  /** Networks (CIDR) from which the key is accepted. By default it is accepted from any address. */
  readonly addresses?: readonly string[];
  readonly cnf?: Confirmation;
}

export interface KeyFilter {
  readonly role?: string;
  readonly owner?: string;
  readonly family?: string;
  readonly status?: KeyStatus;
  /** The plan that the key was given. */
  readonly plan?: string;
  readonly name_prefix?: string;
  /** Is contained in the key id, the name, the owner or the family. Case is ignored. */
  readonly search?: string;
  readonly issued_before?: string;
  readonly expiring_before?: string;
  /** The last use was before this time. A key that was never used counts as used when it was issued. */
  readonly unused_since?: string;
  readonly cursor?: string;
  readonly limit?: number;
}

export interface CountedKeys {
  readonly role?: string;
  readonly owner?: string;
  readonly family?: string;
  readonly status?: KeyStatus;
  /** The plan that the key was given. */
  readonly plan?: string;
  readonly name_prefix?: string;
  /** Is contained in the key id, the name, the owner or the family. Case is ignored. */
  readonly search?: string;
  readonly issued_before?: string;
  readonly expiring_before?: string;
  /** The last use was before this time. A key that was never used counts as used when it was issued. */
  readonly unused_since?: string;
  readonly cursor?: string;
}

/** Members that are left out do not change. `metadata: null` removes the metadata. */
export interface KeyPatch {
  /** A name for people to read. Latchkey does not verify it. */
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, JsonValue>> | null;
  readonly disabled?: boolean;
}

/** Without a role and an owner it applies to every key. */
export interface CutOff {
  /**
   * Keys that were issued before this time (RFC 3339) are revoked. It must not be in the future. Up to
   * two seconds ahead it counts as now.
   */
  readonly before: string;
  readonly role?: string;
  readonly owner?: string;
}

export interface LimitOverride {
  readonly plan?: string;
  /** Replaces the whole list of quotas: a quota that is not named does not apply. */
  readonly quotas?: readonly {
    readonly name: string;
    /** Units per window: 0 to 10^12. */
    readonly limit: number;
    /** Units on top of the limit, once, in the present window. */
    readonly extra?: number;
  }[];
  /** For people: why it was set. */
  readonly note?: string;
  /** The override ends at this time (RFC 3339), which must be in the future. */
  readonly expires_at?: string;
  /**
   * The `version` of the override on which the decision is based; 0 for none. If another one is in
   * force, nothing changes.
   */
  readonly replaces?: number;
}

export interface OverrideFilter {
  /** Only overrides that name this plan, also if the policy does not have it. */
  readonly plan?: string;
  readonly cursor?: string;
  /** Overrides per page, 100 by default. */
  readonly limit?: number;
}

export interface ImportOptions {
  /** Validate the lines without importing them. */
  readonly dry_run?: boolean;
  /** The number of the first line in the body, for the report. */
  readonly first_line?: number;
}

export interface AuditQuery {
  /**
   * Returns the events after this cursor, or from the first one on with `oldest`. Without `after` and
   * `before`: the newest events.
   */
  readonly after?: string;
  /** Returns the newest events before this cursor. */
  readonly before?: string;
  /** Only events from this date or time on (RFC 3339). A date begins in UTC. */
  readonly from?: string;
  /** Only events before this date or time. */
  readonly to?: string;
  readonly event?: string;
  readonly outcome?: "done" | "refused";
  /** `admin:…`, `key:…` or `anonymous`. */
  readonly actor?: string;
  readonly key_id?: string;
  readonly family?: string;
  readonly owner?: string;
  readonly role?: string;
  /** Which event of the page comes first; `oldest` by default. */
  readonly order?: "oldest" | "newest";
  readonly limit?: number;
}

export interface NearLimitsQuery {
  /** Percent of the limit: 50 to 100, 80 by default. */
  readonly above?: number;
  /** `enforce` by default. */
  readonly mode?: "enforce" | "shadow";
  /** 100 by default. */
  readonly limit?: number;
}

export interface TopUsageQuery {
  /** `owner` by default. */
  readonly of?: "owner" | "family" | "route";
  /** What the list is ordered by; `requests` by default. Routes have no `cost`. */
  readonly by?: "requests" | "cost" | "denied" | "limited";
  /** Days in UTC, up to and with today; 7 by default. */
  readonly days?: "1" | "7" | "30";
  /** 20 by default. */
  readonly limit?: number;
}

export interface UsageQuery {
  /**
   * The first hour or day: a date or a time (RFC 3339). By default the last 24 hours or the last 30
   * days.
   */
  readonly from?: string;
  /** The report ends before this date or time; the present by default. */
  readonly to?: string;
  /** `day` by default. */
  readonly by?: "hour" | "day" | "route";
}

export interface UsageFilter {
  /**
   * The first hour or day: a date or a time (RFC 3339). By default the last 24 hours or the last 30
   * days.
   */
  readonly from?: string;
  /** The report ends before this date or time; the present by default. */
  readonly to?: string;
  /** `day` by default. */
  readonly by?: "hour" | "day" | "route";
  /** Only the family of this key. */
  readonly key_id?: string;
  readonly family?: string;
  readonly owner?: string;
  readonly cursor?: string;
  /** Families per page, 100 by default. A page of a long range has fewer. */
  readonly limit?: number;
}

export interface PolicyCheck {
  /** The policy file. */
  readonly text: string;
  /** A file of cases, which the policy is tested with. */
  readonly cases?: string;
  /** Also decide the last requests in the audit files of this instance. Needs the scope `audit:read`. */
  readonly replay?: boolean;
}

export interface SignIn {
  /** An operator token, or a key with operator scopes. */
  readonly credential?: string;
  /** The code of a sign-in link. */
  readonly link?: string;
}

export interface OwnKeyFilter {
  readonly status?: KeyStatus;
  readonly name_prefix?: string;
  readonly cursor?: string;
  readonly limit?: number;
}

export interface OwnRegistration {
  /** A name for people to read. Latchkey does not verify it. */
  readonly name: string;
  /** The role. */
  readonly key_type: string;
  /** Stored with the key; at most 512 bytes as JSON. */
  readonly metadata?: Readonly<Record<string, JsonValue>>;
  /** A subset of the role's scopes; all of them by default. */
  readonly scopes?: readonly string[];
  /** Lifetime in seconds; at most the role's ttl, which is the default. */
  readonly ttl?: number;
  /** Networks (CIDR) from which the key is accepted. By default it is accepted from any address. */
  readonly addresses?: readonly string[];
  readonly cnf?: Confirmation;
}

export interface IssuedKey {
  /** The key. Only this response contains it. */
  readonly api_key: string;
  readonly key_id: string;
  readonly role: string;
  /** The plan that the key was given. Without it the plan or the limits of the role apply. */
  readonly plan?: string;
  readonly scopes: readonly string[];
  readonly expires_at: string;
  readonly refresh_after: string;
}

export interface ValidKey {
  readonly valid: true;
  readonly key_id: string;
  readonly role: string;
  /** The plan that the key was given. Without it the plan or the limits of the role apply. */
  readonly plan?: string;
  readonly scopes: readonly string[];
  /** Null for a V1 key without an expiry. */
  readonly expires_at: string | null;
}

/** RFC 7662. For a key that is not valid, the response contains `active: false` and nothing else. */
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
  /** The plan that the key was given. Without it the plan or the limits of the role apply. */
  readonly plan?: string;
  readonly family?: string;
  readonly owner?: string;
  readonly addresses?: readonly string[];
  readonly cnf?: Confirmation;
}

/** The record of a key. It never contains the key itself. */
export interface Key {
  readonly key_id: string;
  readonly family: string;
  readonly owner: string | null;
  readonly role: string;
  /** The plan that the key was given; null for the plan or the limits of its role. */
  readonly plan: string | null;
  readonly scopes: readonly string[];
  readonly name: string;
  readonly metadata: Readonly<Record<string, JsonValue>> | null;
  readonly status: KeyStatus;
  readonly self_service: boolean;
  /** Whether this is an opaque (V1) key. */
  readonly legacy: boolean;
  /** When a V1 key was first exchanged for a V2 key. */
  readonly migrated_at: string | null;
  readonly issued_at: string;
  readonly expires_at: string | null;
  readonly refresh_after: string | null;
  readonly superseded_by: string | null;
  readonly superseded_from: string | null;
  readonly revoked_at: string | null;
  readonly last_used_at: string | null;
  /** Networks from which the key is accepted; null for any address. */
  readonly addresses: readonly string[] | null;
  readonly cnf: Confirmation | null;
}

/** Continue with `next_cursor` until it is null. A page before that may be short or empty. */
export interface KeyList {
  readonly keys: readonly Key[];
  /** The number of records that this call has read. */
  readonly examined: number;
  readonly next_cursor: string | null;
}

/** One part of the registry. Add the counts of all parts, until `next_cursor` is null. */
export interface KeyCounts {
  /** The keys of this part that match. */
  readonly keys: number;
  /** Keys that Checks accept: active keys, and superseded keys whose overlap is not over. */
  readonly live: number;
  readonly by_status: {
    readonly active: number;
    readonly superseded: number;
    readonly disabled: number;
    readonly revoked: number;
    readonly expired: number;
  };
  /** The newest last use of these keys. */
  readonly last_used_at: string | null;
  /** The number of records that this call has read. */
  readonly examined: number;
  readonly next_cursor: string | null;
}

export interface Limits {
  readonly key_id: string;
  /** The plan that applies; null if the role's own limits apply. */
  readonly plan: string | null;
  readonly limits: readonly {
    readonly name: string;
    readonly per: "key" | "owner" | "role";
    readonly capacity: number;
    readonly refill_per_second: number;
    /** Tokens that are neither spent nor leased. */
    readonly tokens: number;
    /** Tokens that instances hold as leases. */
    readonly leased_tokens: number;
  }[];
  readonly quotas: readonly {
    readonly name: string;
    readonly per: "key" | "owner" | "role";
    readonly unit: string;
    readonly limit: number;
    /** Units that are spent in the present window. */
    readonly used: number;
    /** Units that instances hold as leases. */
    readonly leased: number;
    /** The end of the window. */
    readonly resets_at: string;
  }[];
}

export interface AppliedOverride {
  /** Null for the override of a family. */
  readonly owner: string | null;
  /** Null for the override of an owner. */
  readonly family: string | null;
  readonly plan: string | null;
  /** False if the policy does not have the plan. Then it does not apply. */
  readonly plan_known: boolean;
  readonly quotas:
    | readonly {
        readonly name: string;
        readonly limit: number;
        readonly extra: number;
        /**
         * The end of the window in which `extra` applies. Null without `extra`, or if the policy does not have
         * the quota.
         */
        readonly extra_until: string | null;
      }[]
    | null;
  readonly note: string | null;
  /** Another one after each change. */
  readonly version: number;
  readonly set_at: string;
  readonly expires_at: string | null;
}

export interface OverrideList {
  readonly overrides: readonly AppliedOverride[];
  readonly next_cursor: string | null;
}

export interface PolicyInForce {
  /** The label of the metric `latchkey_policy_info`. */
  readonly hash: string;
  readonly file: string;
  /** The mode for requests that cannot be parsed or that match no route. */
  readonly mode: "enforce" | "shadow";
  readonly loaded_at: string;
  /** The start, a changed file, SIGHUP, or the call of an operator. */
  readonly loaded_by: "start" | "file" | "signal" | "call";
  /** The operator of `call`, as in audit lines. */
  readonly loaded_by_actor: string | null;
  /** The file that was read last, if it has errors. The former policy stays active. */
  readonly rejected: RejectedPolicy | null;
  /** The text of the file as it was loaded. */
  readonly text: string;
}

export interface RejectedPolicy {
  readonly at: string;
  readonly problems: readonly string[];
}

export interface Plans {
  readonly plans: readonly {
    readonly name: string;
    /** Null: the list of the next plan or role in the order of precedence applies. */
    readonly rate_limits:
      | readonly {
          readonly name: string;
          readonly per: "key" | "owner" | "role" | "address";
          readonly capacity: number;
          readonly refill_per_second: number;
        }[]
      | null;
    /** Null: the list of the next plan or role in the order of precedence applies. */
    readonly quotas:
      | readonly {
          readonly name: string;
          readonly per: "key" | "owner" | "role";
          readonly limit: number;
          readonly every: "hour" | "day" | "week" | "month";
          /** An IANA name. */
          readonly time_zone: string;
          readonly unit: string;
        }[]
      | null;
    /** Overrides of owners and families with this plan. */
    readonly overrides: number;
  }[];
  /** Plans that overrides name, and that the policy does not have. */
  readonly unknown: readonly {
    readonly name: string;
    readonly overrides: number;
  }[];
}

export interface Roles {
  readonly roles: readonly {
    readonly name: string;
    readonly scopes: readonly string[];
    readonly ttl_seconds: number;
    readonly refresh_window_seconds: number;
    readonly self_service: boolean;
    readonly may_grant: readonly string[];
    readonly plan: string | null;
    readonly may_assign_plans: readonly string[];
    /** The role's own limits. A role with a plan has none. */
    readonly rate_limits: readonly {
      readonly name: string;
      readonly per: "key" | "owner" | "role" | "address";
      readonly capacity: number;
      readonly refill_per_second: number;
    }[];
    /** The role's own quotas. A role with a plan has none. */
    readonly quotas: readonly {
      readonly name: string;
      readonly per: "key" | "owner" | "role";
      readonly limit: number;
      readonly every: "hour" | "day" | "week" | "month";
      /** An IANA name. */
      readonly time_zone: string;
      readonly unit: string;
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

export interface OwnKeyList {
  readonly keys: readonly Key[];
  /** The number of records that this call has read. */
  readonly examined: number;
  readonly next_cursor: string | null;
  /**
   * The keys of the owner that count: those that are not revoked, expired or superseded, including those
   * that operators registered.
   */
  readonly counted_keys: number;
  /** No key can be created while this many keys count. */
  readonly max_keys: number;
}

export interface SignedOut {
  /**
   * Where a person that has signed in by OpenID Connect signs out of the provider too. Null if the
   * provider offers no such page.
   */
  readonly provider_sign_out: string | null;
}

export interface OwnerSession {
  /** The person, for people to read. */
  readonly name: string;
  /** The owner whose keys the person manages. */
  readonly owner: string;
  /** The roles whose keys the person may create and rotate. */
  readonly roles: readonly {
    readonly name: string;
    readonly scopes: readonly string[];
    /** The longest lifetime of its keys, in seconds. */
    readonly ttl: number;
  }[];
  readonly started_at: string;
  /** When it ends without a further action. */
  readonly ends_at: string;
  readonly ends_at_latest: string;
}

export interface OpenedOwnerSession {
  /** The person, for people to read. */
  readonly name: string;
  /** The owner whose keys the person manages. */
  readonly owner: string;
  /** The roles whose keys the person may create and rotate. */
  readonly roles: readonly {
    readonly name: string;
    readonly scopes: readonly string[];
    /** The longest lifetime of its keys, in seconds. */
    readonly ttl: number;
  }[];
  readonly started_at: string;
  /** When it ends without a further action. */
  readonly ends_at: string;
  readonly ends_at_latest: string;
  /** Each call of the page sends it as `X-Latchkey-Keys`. */
  readonly proof: string;
}

/** An opaque (V1) key. No later response contains it. */
export interface LegacyIssuedKey {
  readonly api_key: string;
  readonly key_id: string;
  readonly role: string;
}

export interface MigrationStatus {
  readonly phase: Phase;
  readonly chosen_by: "policy" | "operator";
  readonly policy_phase: Phase;
  readonly deprecated_at: string | null;
  readonly sunset: string;
  readonly migrate_until: string;
  /**
   * Seconds for which an exchanged V1 key stays valid, from the start of `deprecated` or from its
   * exchange, whichever is later.
   */
  readonly overlap_seconds: number;
  readonly roles: readonly RoleUse[];
  /** Each phase in order, as if it began now. */
  readonly effects: readonly PhaseEffect[];
}

export interface FreezeStatus {
  /** Null if the registry is not frozen. */
  readonly frozen_until: string | null;
}

/** The V1 keys of one role. */
export interface RoleUse {
  readonly role: string;
  /** Number of V1 keys. */
  readonly keys: number;
  readonly used_last_day: number;
  readonly used_last_week: number;
  readonly used_last_month: number;
  /** Only the keys that have not been exchanged for a V2 key. */
  readonly unmigrated: LegacyUse;
}

/** What a phase would do to the V1 keys that exist now. */
export interface PhaseEffect {
  readonly phase: Phase;
  /** V1 keys that are valid until something else ends them. */
  readonly valid: number;
  /** Exchanged V1 keys, which end at `ends_from` or after their own overlap. */
  readonly ending: number;
  readonly ends_from: string | null;
  /** V1 keys that are denied at once: those that were not exchanged. */
  readonly denied: number;
  readonly denied_used_last_day: number;
  readonly denied_used_last_week: number;
  readonly denied_used_last_month: number;
  /** Whether responses to V1 keys announce V2 keys, or the end. */
  readonly announces: boolean;
  /**
   * What a registration of a V1 key issues. `negotiated`: a V2 key to a client that sends
   * `Accept-Key-Version: 2`.
   */
  readonly issues: "v1" | "negotiated" | "none";
}

/** The number of V1 keys, and how many of them were used recently. */
export interface LegacyUse {
  /** Number of V1 keys. */
  readonly keys: number;
  readonly used_last_day: number;
  readonly used_last_week: number;
  readonly used_last_month: number;
}

export interface ImportReport {
  readonly imported: number;
  /** Number of keys that already exist. */
  readonly known: number;
  readonly refused: readonly {
    readonly line: number;
    readonly detail: string;
  }[];
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
    readonly plan: string | null;
  }[];
  /** The cursor after which later events follow; null if there are no events yet. */
  readonly next_cursor: string | null;
  /** The cursor before which earlier events may match; null if there are none, and with `after`. */
  readonly previous_cursor: string | null;
}

export interface AuditVerification {
  /**
   * `off`: this instance writes no file; `never`: nothing was verified since the start of this instance;
   * `running`: a run reads the files; `intact`: no line was changed, and none is missing; `broken`: a
   * line was changed or is missing; `failed`: the files could not be read
   */
  readonly state: "off" | "never" | "running" | "intact" | "broken" | "failed";
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly files: number;
  readonly bytes_read: number;
  readonly bytes_total: number;
  /** Of an intact log. */
  readonly lines: number | null;
  /** The chains of an intact log, with the HMAC of the last line. At most 100. */
  readonly chains: readonly {
    readonly instance: string;
    readonly first: number;
    readonly last: number;
    readonly hmac: string;
  }[];
  /** The problem of the line, or of the run. */
  readonly problem: string | null;
  /** The name of the file that has the line. */
  readonly file: string | null;
  readonly line: number | null;
}

export interface PlanKeys {
  readonly plans: readonly {
    readonly name: string;
    /** False if the policy does not have the plan. */
    readonly known: boolean;
    readonly keys: number;
  }[];
  readonly keys_read: number;
  /** False while the count runs: the numbers cover what was read so far. Call again for more. */
  readonly complete: boolean;
  /** The start of the count. Later changes may be missing. */
  readonly as_of: string;
}

export interface NearLimits {
  readonly above: number;
  readonly quotas: readonly {
    readonly name: string;
    readonly per: "key" | "owner" | "role";
    /** The family, owner or role that uses the quota. */
    readonly subject: string;
    readonly mode: "enforce" | "shadow";
    readonly every: "hour" | "day" | "week" | "month";
    readonly unit: string;
    readonly used: number;
    /** Units that instances hold as leases. */
    readonly leased: number;
    /** The limit of the last request that took from the quota. */
    readonly limit: number;
    /** Percent of the limit that is used or leased, rounded down. */
    readonly percent: number;
    readonly resets_at: string;
  }[];
  /** All counters with at least this share. */
  readonly total: number;
  readonly counters_read: number;
  /** False while the count runs: the numbers cover what was read so far. Call again for more. */
  readonly complete: boolean;
  /** The start of the count. Later changes may be missing. */
  readonly as_of: string;
}

export interface TopUsage {
  readonly of: "owner" | "family" | "route";
  readonly by: "requests" | "cost" | "denied" | "limited";
  readonly from: string;
  readonly to: string;
  readonly top: readonly {
    readonly name: string;
    /** The owner of a family; otherwise null. */
    readonly owner: string | null;
    readonly allowed: number;
    /** Requests that were denied for another reason than a limit. */
    readonly denied: number;
    /** Requests that were denied by a rate limit or a quota. */
    readonly limited: number;
    /** Null for a route. */
    readonly cost: number | null;
  }[];
  readonly families_read: number;
  readonly metering: "on" | "off" | "stopped";
  /** False while the count runs: the numbers cover what was read so far. Call again for more. */
  readonly complete: boolean;
  /** The start of the count. Later changes may be missing. */
  readonly as_of: string;
}

export interface Status {
  readonly instance: {
    readonly version: string;
    readonly started_at: string;
    readonly uptime_seconds: number;
    readonly ready: boolean;
    /** The components, as `/readyz` reports them. */
    readonly parts: Readonly<Record<string, "ready" | "not_ready" | "starting" | "waiting" | "draining">>;
    /** The phase of V1 keys that applies here. */
    readonly phase: "silent" | "gradual" | "active" | "deprecated" | "removed";
    readonly policy_hash: string;
    readonly signing_keys: readonly {
      readonly kid: string;
      readonly use: "sign" | "verify";
      /** Null if it is not known yet. */
      readonly added_at: string | null;
    }[];
  };
  readonly store: {
    readonly kind: "embedded" | "redis";
    /** Whether the store accepts writes. */
    readonly up: boolean;
    /** Null for the embedded store. */
    readonly topology: string | null;
    /** The address of the primary, without credentials. */
    readonly primary: string | null;
    /** Moves of this instance to another primary since its start. */
    readonly failovers: number;
    readonly last_failover_at: string | null;
    /** Seconds since the revocation feed was last received; null if it never was. */
    readonly revocation_staleness_seconds: number | null;
    /** This machine's clock against the store's. */
    readonly clock_ahead_seconds: number;
  };
  readonly instances: readonly {
    /** Whether this instance responds. */
    readonly this: boolean;
    /** Null for a version that does not publish it. */
    readonly version: string | null;
    readonly started_at: string;
    /** By the store's clock. */
    readonly last_heartbeat_at: string;
    readonly phase: "silent" | "gradual" | "active" | "deprecated" | "removed" | null;
    /** Between its last two heartbeats; null if it does not publish it. */
    readonly allowed_per_second: number | null;
    readonly denied_per_second: number | null;
    /** The signing keys that it accepts; the first one signs. */
    readonly kids: readonly string[];
  }[];
  readonly capacity: {
    /** Unexpired keys; null while the store does not respond. */
    readonly keys: number | null;
    readonly self_service_keys: number | null;
    readonly self_service_keys_limit: number;
    /** Entries of the revocation view in memory. */
    readonly revocations: number;
    /** Changes that this instance would enter again after a failover. */
    readonly remembered_changes: number;
  };
}

export interface CheckedPolicy {
  /** Whether an instance would load the file. */
  readonly ok: boolean;
  /** At most 200. */
  readonly problems: readonly FileProblem[];
  readonly warnings: readonly string[];
  /** Null for a file with problems. */
  readonly summary: PolicySummary | null;
  /** Plans that overrides name, and that the policy does not have. */
  readonly lacking_plans: readonly {
    readonly name: string;
    readonly overrides: number;
  }[];
  /** Null without `cases`, or if the policy has problems. */
  readonly cases: TestedCases | null;
  /** Null without `replay`, if the policy has problems, or with `AUDIT_FILE=off`. */
  readonly replay: ReplayedRequests | null;
}

export interface PolicySummary {
  readonly hash: string;
  readonly mode: "enforce" | "shadow";
  readonly roles: number;
  readonly plans: number;
  readonly routes: number;
  /** Whether this is the text of the active policy. */
  readonly active: boolean;
}

export interface FileProblem {
  /** From 1. */
  readonly line: number;
  readonly detail: string;
}

export interface TestedCases {
  /** Why the cases cannot be run. */
  readonly problems: readonly FileProblem[];
  readonly passed: number;
  readonly failed: number;
  /** At most 500, the failed ones first. */
  readonly results: readonly {
    readonly line: number;
    readonly name: string;
    /** `allowed`, or the reason of the denial. */
    readonly reason: string;
    /** What differs from the expectation. Empty: it passed. */
    readonly problems: readonly string[];
    /** The steps of the decision, for a case that failed. */
    readonly steps: readonly {
      readonly step: string;
      readonly observed: string;
      readonly outcome: string;
    }[];
  }[];
}

export interface ReplayedRequests {
  readonly requests: number;
  readonly same: number;
  readonly changed: number;
  readonly undetermined: number;
  /** Requests without a line, because the queue of the log was full. */
  readonly missing: number;
  readonly invalid_lines: number;
  /** The time of the first request. */
  readonly from: string | null;
  readonly to: string | null;
  readonly changes: readonly {
    readonly route: string;
    readonly role: string;
    readonly was: string;
    readonly would_be: string;
    readonly requests: number;
    readonly first_at: string;
  }[];
  readonly undetermined_because: readonly {
    readonly why: string;
    readonly requests: number;
  }[];
  /** What the audit files do not show. */
  readonly unseen: readonly string[];
}

export interface Settings {
  readonly settings: readonly Setting[];
}

export interface Setting {
  readonly name: string;
  /** Its heading in docs/reference/settings.md. */
  readonly group: string;
  readonly meaning: string;
  readonly secret: boolean;
  /** `derived`: from other settings. `generated`: a secret that the store keeps. */
  readonly source: "environment" | "file" | "default" | "derived" | "generated" | "unset";
  /** Null for a secret, and for a setting without a value. */
  readonly value: string | null;
  /** The file that holds a secret. */
  readonly file: string | null;
  readonly default: string | null;
}

export interface SigningKeys {
  /** The signing key comes first. */
  readonly keys: readonly SigningKey[];
  /** `JWT_KEYS_FILE`. */
  readonly keys_file: string | null;
  /** Instances with a heartbeat within the last 20 seconds. */
  readonly instances: number;
  /** The longest lifetime of a key in the policy. */
  readonly longest_ttl_seconds: number;
  readonly next: RotationStep;
}

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  /** The setting that it comes from. `generated`: a secret that the store keeps. */
  readonly origin: "JWT_SECRET" | "JWT_SECRET_PREVIOUS" | "JWT_KEYS_FILE" | "generated";
  /**
   * It signs, waits for promotion, signed formerly, or verifies. `verifies` is also a secret of which
   * nothing records whether it is the next or a former one.
   */
  readonly state: "signs" | "waits" | "signed" | "verifies";
  /** The file's `added_at`, or when an instance first had the key. Null if it is not known yet. */
  readonly added_at: string | null;
  /** As the file states it. */
  readonly signs_from: string | null;
  /** As the file states it. */
  readonly signed_until: string | null;
  /** When every API key that it signed has expired. Null if its end as a signing key is not recorded. */
  readonly retire_at: string | null;
  /** Instances that accept it. */
  readonly accepted_by: number;
  /** Instances that sign with it. */
  readonly signed_by: number;
}

export interface RotationStep {
  readonly step: "add" | "promote" | "retire";
  /** Null for `add`. */
  readonly kid: string | null;
  /**
   * Null: the step can be taken now. `instances`: some instance does not have the step before. `expiry`:
   * API keys that it signed may still be valid. `unknown_end`: nothing records when it stopped signing.
   * `setting`: set `JWT_SECRET` or `JWT_KEYS_FILE` first.
   */
  readonly waits_for: "instances" | "expiry" | "unknown_end" | "setting" | null;
  /** When `expiry` ends. */
  readonly not_before: string | null;
}

export interface Figures {
  readonly at: string;
  /** The time that the figures cover. */
  readonly seconds: number;
  readonly decisions: readonly {
    readonly verdict: "allow" | "deny";
    /** `allowed`, or the reason of a denial. */
    readonly reason: string;
    readonly mode: "enforce" | "shadow";
    readonly per_second: number;
  }[];
  /** Estimated from the histogram of durations. Null without decisions. */
  readonly latency: {
    readonly p50_ms: number | null;
    readonly p99_ms: number | null;
  };
  readonly status: Status;
}

export type OperatorScope =
  | "keys:read"
  | "keys:write"
  | "limits:write"
  | "audit:read"
  | "system:read"
  | "system:write";

export interface ConsoleSession {
  /** The caller in audit lines. */
  readonly name: string;
  readonly kind: "admin" | "key" | "person";
  /** The operator scopes that it has now. */
  readonly scopes: readonly OperatorScope[];
  readonly started_at: string;
  /** When it ends without a further action. */
  readonly ends_at: string;
  readonly ends_at_latest: string;
}

export interface OpenedConsoleSession {
  /** The caller in audit lines. */
  readonly name: string;
  readonly kind: "admin" | "key" | "person";
  /** The operator scopes that it has now. */
  readonly scopes: readonly OperatorScope[];
  readonly started_at: string;
  /** When it ends without a further action. */
  readonly ends_at: string;
  readonly ends_at_latest: string;
  /** Each call of a page sends it as `X-Latchkey-Console`. */
  readonly proof: string;
}

export interface ConsoleLink {
  /** For the fragment of `/console#link=…`. It works once. */
  readonly link: string;
  readonly expires_at: string;
}

export interface HolderLimits {
  /** The plan of the key; null if its role's limits apply. */
  readonly plan: string | null;
  readonly rate_limits: readonly {
    readonly name: string;
    readonly per: "key" | "owner" | "role";
    readonly capacity: number;
    readonly refill_per_second: number;
    /**
     * Whole tokens that no instance holds; null for a limit that the whole role shares, because it is
     * other people's traffic.
     */
    readonly remaining: number | null;
  }[];
  readonly quotas: readonly {
    readonly name: string;
    readonly unit: string;
    readonly limit: number;
    readonly used: number | null;
    readonly remaining: number | null;
    readonly resets_at: string;
  }[];
}

export interface Usage {
  readonly by: "hour" | "day" | "route";
  readonly from: string;
  readonly to: string;
  /**
   * Whether this instance counts usage. `stopped`: usage has reached `USAGE_MAX_BYTES`, and newer usage
   * is missing.
   */
  readonly metering: "on" | "off" | "stopped";
  readonly usage: readonly {
    /** The start of the hour or day in UTC; null for a route. */
    readonly time: string | null;
    /** The route by its name or pattern; null for a period. */
    readonly route: string | null;
    readonly allowed: number;
    /** Requests that were denied for another reason than a limit. */
    readonly denied: number;
    /** Requests that were denied by a rate limit or a quota. */
    readonly limited: number;
    /** The sum of the costs of the allowed requests; null for a route. */
    readonly cost: number | null;
    /** Amounts of other units that were charged, by unit; null for a route. */
    readonly units: Readonly<Record<string, number>> | null;
  }[];
}

export interface UsageReport {
  readonly by: "hour" | "day" | "route";
  readonly from: string;
  readonly to: string;
  /**
   * Whether this instance counts usage. `stopped`: usage has reached `USAGE_MAX_BYTES`, and newer usage
   * is missing.
   */
  readonly metering: "on" | "off" | "stopped";
  readonly usage: readonly {
    readonly owner: string;
    readonly family: string;
    /** The start of the hour or day in UTC; null for a route. */
    readonly time: string | null;
    /** The route by its name or pattern; null for a period. */
    readonly route: string | null;
    readonly allowed: number;
    /** Requests that were denied for another reason than a limit. */
    readonly denied: number;
    /** Requests that were denied by a rate limit or a quota. */
    readonly limited: number;
    /** The sum of the costs of the allowed requests; null for a route. */
    readonly cost: number | null;
    /** Amounts of other units that were charged, by unit; null for a route. */
    readonly units: Readonly<Record<string, number>> | null;
  }[];
  readonly next_cursor: string | null;
}
