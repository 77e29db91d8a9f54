import type { CredentialSource } from "../decision/credential.ts";
import type { PathParams } from "../decision/path.ts";
import type { MigrationPlan } from "../legacy/migration.ts";
import type { BucketLimit } from "../limits/token-bucket.ts";
import type { Issuer } from "./issuer.ts";
import type { Route, RouteTable } from "./route-table.ts";

/** What a bucket belongs to. `key` is the key's family, so that a refresh does not fill it. */
export type LimitSubject = "key" | "owner" | "role" | "address";

/** One entry of a role's `rate_limits`. */
export interface RateLimit extends BucketLimit {
  readonly name: string;
  readonly per: LimitSubject;
  /** Whether instances may take tokens ahead of need; `lease: off` makes each request ask the shared store. */
  readonly leased: boolean;
}

/** What the policy grants to the keys of one role, now. */
export interface Role {
  readonly name: string;
  readonly scopes: ReadonlySet<string>;
  readonly ttlSeconds: number;
  /** How long before its end a key may be refreshed; from half of its life on at the earliest. */
  readonly refreshWindowSeconds: number;
  /** How long a refreshed key stays good beside its successor; absent: until its own end. */
  readonly refreshOverlapSeconds?: number;
  /** No successor outlives this, counted from the family's first key; absent: no end. */
  readonly maxFamilyAgeSeconds?: number;
  /** Whether anyone may register a key of this role. */
  readonly selfService: boolean;
  /** Roles that an operator with this role may give to others. */
  readonly mayGrant: readonly string[];
  readonly rateLimits: readonly RateLimit[];
}

export type Mode = Route["mode"];

/** The policy in force: parsed, consistent, immutable. A change makes a new one. */
export interface Policy {
  /** SHA-256 of the file's text, first 12 hex digits. */
  readonly hash: string;
  readonly roles: ReadonlyMap<string, Role>;
  readonly routes: RouteTable;
  /**
   * For requests of no route, which each have their own: those that cannot be read, and those that none takes. It is `enforce` as
   * soon as one route enforces, since such a request may be a spelling of that route's.
   */
  readonly mode: Mode;
  readonly credentialSources: readonly CredentialSource[];
  readonly stripCredential: boolean;
  /** Whether a key over `http`, as Envoy sees it, is refused. */
  readonly requireHttps: boolean;
  /** Whether the policy file chose so. */
  readonly saysRequireHttps: boolean;
  readonly forwardPrefix: string;
  readonly pathParams: PathParams;
  /** What lets CORS preflights pass without a key; absent where they need what every request needs. */
  readonly preflightRoute?: Route;
  readonly faults: {
    /** What becomes of requests while the shared buckets cannot be asked. */
    readonly limits: "local" | "deny" | "allow";
    /** How long an instance that hears nothing uses its share, and a silent one is counted. */
    readonly localMaxMs: number;
    /** What becomes of keys when nothing has been heard of revocations for longer than this. */
    readonly revocations: { readonly maxStalenessMs: number; readonly stale: "deny" | "serve" };
  };
  /** Whether answers carry `X-RateLimit-*` beside `RateLimit`. */
  readonly legacyRateLimit: boolean;
  readonly migration: MigrationPlan;
  /** Others whose tokens are taken. */
  readonly issuers: readonly Issuer[];
  readonly audit: {
    /** Which Checks leave a line. */
    readonly requests: "refusals" | "all" | "off";
    /** The share of those, from above 0 to 1. */
    readonly sample: number;
  };
  readonly guards: {
    /** Keys that are none, for each client address: beyond it they are turned away unjudged to the client. */
    readonly failures: BucketLimit;
    /** Calls of the key API without a good credential, for each client address. */
    readonly openCalls: BucketLimit;
    /** Live keys that were registered without an operator, in all. */
    readonly selfServiceKeysMax: number;
  };
  /** Route labels that metrics may carry; all others are `other`. */
  readonly routeLabels: ReadonlySet<string>;
}
