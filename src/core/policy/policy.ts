import type { CredentialSource } from "../decision/credential.ts";
import type { PathParams } from "../decision/path.ts";
import type { MigrationPlan } from "../legacy/migration.ts";
import type { DescriptorLevel } from "../limits/descriptor-limits.ts";
import type { BucketLimit } from "../limits/token-bucket.ts";
import type { SignInPolicy } from "../sign-in/sign-in-policy.ts";
import type { Issuer } from "./issuer.ts";
import type { Route, RouteTable } from "./route-table.ts";

/** The subject of a bucket. `key` is the key's family, so that a refresh does not fill the bucket. */
export type LimitSubject = "key" | "owner" | "role" | "address";

/** One entry of a role's `rate_limits`. */
export interface RateLimit extends BucketLimit {
  readonly name: string;
  readonly per: LimitSubject;
  /** Whether instances may lease tokens in advance. With `lease: off` each request asks the shared store. */
  readonly leased: boolean;
}

/** The subject of a quota's counter. `key` is the key's family, so that a refresh does not restart the count. */
export type QuotaSubject = Exclude<LimitSubject, "address">;

/** How a quota counts. It is the same in every plan and role, because the counter belongs to the quota's name. */
export interface QuotaCount {
  readonly per: QuotaSubject;
  readonly every: "hour" | "day" | "week" | "month";
  /** An IANA name. An hour has `UTC`. */
  readonly timeZone: string;
  /** `requests`: each Check takes the cost of its route. Other units are charged after the response. */
  readonly unit: string;
}

/** One entry of `quotas`: an amount per calendar window. */
export interface Quota extends QuotaCount {
  readonly name: string;
  /** Whole units from 0 to 10^12. */
  readonly limit: number;
  /** Units on top of the limit in the window that contains `atMs`, by an override; never in a policy file. */
  readonly extra?: { readonly units: number; readonly atMs: number };
}

/** A unit that is charged after the response, such as the tokens of a language model. */
export interface ChargedUnit {
  /** The largest amount of one charge. Absent: the largest limit of the key's quotas of the unit. */
  readonly maxCharge?: number;
  /** How long after its Check a request may be charged. */
  readonly chargeWithinMs: number;
  /** How long after its Check a charge may return a part of what the request has reserved. */
  readonly reserveForMs: number;
}

/** Limits and quotas that apply together. */
export interface LimitList {
  /** The first part of the ids of its buckets. Two lists with different `rateLimits` have different prefixes. */
  readonly bucketPrefix: string;
  readonly rateLimits: readonly RateLimit[];
  readonly quotas: readonly Quota[];
}

/** Named limits, which a role or a key can have instead of the role's own. A plan has at least one of the two lists. */
export interface Plan {
  readonly name: string;
  readonly rateLimits?: readonly RateLimit[];
  readonly quotas?: readonly Quota[];
  /** This plan's lists, with those of `fallback` for a list that it lacks. The same fallback gives the same object. */
  over(fallback: LimitList): LimitList;
}

/** The present permissions and limits of the keys of one role. Its own limits apply to keys without a plan. */
export interface Role extends LimitList {
  readonly name: string;
  readonly scopes: ReadonlySet<string>;
  readonly ttlSeconds: number;
  /** The time before its expiry in which a key may be refreshed, at the earliest from half of its life on. */
  readonly refreshWindowSeconds: number;
  /** How long a refreshed key stays valid beside its successor; absent: until its own expiry. */
  readonly refreshOverlapSeconds?: number;
  /** The maximum age of a family, counted from its first key; absent: no limit. */
  readonly maxFamilyAgeSeconds?: number;
  /** Whether anyone may register a key of this role. */
  readonly selfService: boolean;
  /** Roles that an operator with this role may grant. */
  readonly mayGrant: readonly string[];
  /** The plan of its keys that have none of their own. A role with a plan has no limits of its own. */
  readonly plan?: Plan;
  /** Plans that an operator with this role and `limits:write` may assign to keys. */
  readonly mayAssignPlans: readonly string[];
}

export type Mode = Route["mode"];

/** The active policy: parsed, consistent and immutable. A change creates a new object. */
export interface Policy {
  /** SHA-256 of the file's text, first 12 hex digits. */
  readonly hash: string;
  readonly roles: ReadonlyMap<string, Role>;
  readonly plans: ReadonlyMap<string, Plan>;
  /** How each quota of plans and roles counts, by its name. */
  readonly quotaCounts: ReadonlyMap<string, QuotaCount>;
  /** Units that are charged after the response, by their names, without `requests`. */
  readonly units: ReadonlyMap<string, ChargedUnit>;
  readonly routes: RouteTable;
  /**
   * The mode for requests without a route: malformed requests, and requests that no route matches. It is `enforce` if at least
   * one route enforces, because such a request may be another spelling of a request to that route.
   */
  readonly mode: Mode;
  readonly credentialSources: readonly CredentialSource[];
  readonly stripCredential: boolean;
  /** Whether a key over `http`, as Envoy received it, is denied. */
  readonly requireHttps: boolean;
  /** Whether the policy file sets it explicitly. */
  readonly saysRequireHttps: boolean;
  readonly forwardPrefix: string;
  readonly pathParams: PathParams;
  /** The route of CORS preflights that pass without a key; absent if a preflight is decided like any other request. */
  readonly preflightRoute?: Route;
  readonly faults: {
    /** How requests are decided while the shared buckets are unavailable. */
    readonly limits: "local" | "deny" | "allow";
    /** Whether requests are counted in memory or denied while the counters of quotas are unavailable. */
    readonly quotas: "count" | "deny";
    /** How long an instance without contact uses its share, and how long the others count it. */
    readonly localMaxMs: number;
    /** How keys are decided when the revocation feed is older than `maxStalenessMs`. */
    readonly revocations: { readonly maxStalenessMs: number; readonly stale: "deny" | "serve" };
  };
  /** Whether responses contain `X-RateLimit-*` in addition to `RateLimit`. */
  readonly legacyRateLimit: boolean;
  readonly migration: MigrationPlan;
  /** Other issuers whose tokens are accepted. */
  readonly issuers: readonly Issuer[];
  /** Who may sign in by OpenID Connect. */
  readonly signIn: SignInPolicy;
  /** The descriptors of each domain of Envoy's Rate Limit Service. */
  readonly rateLimitDomains: ReadonlyMap<string, DescriptorLevel>;
  readonly audit: {
    /** Which Checks are logged. */
    readonly requests: "denials" | "all" | "off";
    /** The logged share of these, above 0 and at most 1. */
    readonly sample: number;
  };
  readonly guards: {
    /** Invalid keys per client address. Above the limit the reason is `too_many_failures`. */
    readonly failures: BucketLimit;
    /** Calls of the key API without a valid credential, per client address. */
    readonly openCalls: BucketLimit;
    /** The total of live keys that were registered without an operator. */
    readonly selfServiceKeysMax: number;
  };
  /** Route labels that appear in metrics. All others become `other`. */
  readonly routeLabels: ReadonlySet<string>;
  /** Old spellings that the file uses and that a later version will not accept: one sentence each. */
  readonly deprecations: readonly string[];
  /** Entries without effect: one sentence each. */
  readonly warnings: readonly string[];
}
