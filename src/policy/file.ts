import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { z } from "zod";
import { errorMessage } from "../core/error-message.ts";
import { visible } from "../core/escape-text.ts";
import type { Mode, Plan, Policy, Role } from "../core/policy/policy.ts";
import type { Route, RouteTable } from "../core/policy/route-table.ts";
import { createRouteTable } from "../core/policy/route-table.ts";
import { conflictProblems, costWarnings, roleProblems, routeProblems } from "./consistency.ts";
import { issuerProblems, toIssuer } from "./issuers.ts";
import { toPlans, toQuotaCounts, toQuotas, toRateLimits } from "./limit-lists.ts";
import { planProblems } from "./plan-problems.ts";
import type { Problem } from "./problem.ts";
import { quotaProblems } from "./quota-problems.ts";
import { rateLimitServiceProblems, toRateLimitDomains } from "./rate-limit-service.ts";
import type { PolicyDocument } from "./schema.ts";
import { fieldNames, policySchema } from "./schema.ts";
import { signInProblems, toSignInPolicy } from "./sign-in.ts";
import { didYouMean } from "./suggestion.ts";
import { toUnits, unitProblems, unitWarnings } from "./units.ts";
import { readYaml } from "./yaml-file.ts";

/** The built-in policy. It applies without a file, and supplies each part that a file omits. */
export const BUILT_IN_POLICY_FILE = new URL("../../latchkey.yaml", import.meta.url);

/** The default maximum age of a self-service family: 90 days. No operator vouched for it, so it cannot be refreshed for ever. */
const SELF_SERVICE_FAMILY_AGE_SECONDS = 90 * 86_400;

/** The default time after `sunset` during which a V1 key can still be exchanged. */
const MIGRATE_AFTER_SUNSET_SECONDS = 90 * 86_400;

/** Further problems are not listed. Finding the line of each takes longer in a longer file. */
const MAX_PROBLEMS = 1000;
/** Further routes are counted under the label `other`. */
const MAX_ROUTE_LABELS = 200;
/** Contains a space, so it cannot collide with the path or name of a route. */
const PREFLIGHT_LABEL = "CORS preflight";

const REFUSALS_RENAMED =
  "audit.requests: `refusals` is now called `denials`, and a later version will not accept the old name";

export type PolicyResult =
  | { readonly ok: true; readonly policy: Policy }
  /** Each problem is a line `FILE:LINE: PATH: what is wrong`. */
  | { readonly ok: false; readonly problems: readonly string[] };

export interface PolicySource {
  readonly text: string;
  /** The file name as the user wrote it. Every problem starts with it. */
  readonly fileName: string;
  /** Settings `TTL_*`: role name → seconds, instead of the file's `ttl`. */
  readonly ttlSeconds?: ReadonlyMap<string, number>;
  /** `JWT_ISSUER`: no other issuer may use it. */
  readonly ownIssuer?: string;
  /** `POLICY_REQUIRE_COMPLETE`: a file without the last entry `policy: { complete: true }` is rejected as half written. */
  readonly requireComplete?: boolean;
}

/** Parses a policy. Returns it, or every problem. Never throws, whatever the text is. */
export function parsePolicy(source: PolicySource): PolicyResult {
  const checked = checkPolicy(source);
  if (!checked.ok) return checked;
  return { ok: true, policy: policyOf(source, checked.document) };
}

/** Builds the policy of a checked file. */
export function policyOf(source: PolicySource, document: CheckedDocument): Policy {
  const routes = document.routes.map((entry) => toRoute(entry, document));
  return toPolicy(source, document, routes, createRouteTable(routes));
}

/** A valid policy file with all its parts, as plain data that can be sent between threads. */
export type CheckedDocument = PolicyDocument & BuiltInParts;

export type CheckResult =
  | { readonly ok: true; readonly document: CheckedDocument }
  | Extract<PolicyResult, { ok: false }>;

/** Finds every problem of a policy file. This is nearly all of the work of loading it. Never throws. */
export function checkPolicy(source: PolicySource): CheckResult {
  try {
    return checkText(source);
  } catch (error) {
    // An unexpected error must not end the instances that reload the file.
    const why = errorMessage(error);
    return { ok: false, problems: [visible(`${source.fileName}:1: the policy cannot be loaded: ${why}`)] };
  }
}

const EMPTY = "the file has no section: write `{}` to use the built-in policy";

function checkText(source: PolicySource): CheckResult {
  const file = readYaml(source.text, source.fileName);
  if (!file.ok) return file;
  // A file that is cut off, as on a full disk, must not turn into the built-in policy.
  if (file.value === undefined) return { ok: false, problems: [file.problemAt([], EMPTY)] };
  const format = ({ path, message }: Problem) =>
    file.problemAt(path, path.length === 0 ? message : `${formatPath(path)}: ${message}`);
  const parsed = policySchema.safeParse(file.value);
  if (!parsed.success) {
    const problems = issueProblems(parsed.error.issues).slice(0, MAX_PROBLEMS);
    return { ok: false, problems: problems.map(format) };
  }
  const builtInParts = builtIn();
  const document = {
    ...parsed.data,
    roles: parsed.data.roles ?? builtInParts.roles,
    routes: parsed.data.routes ?? builtInParts.routes,
  };
  const roles = toRoles(document, source, toPlans(document));
  const routes = document.routes.map((entry) => toRoute(entry, document));
  const problems = [
    ...completenessProblems(file.value, source),
    ...roleProblems(roles),
    ...routeProblems(routes, roles),
    ...planProblems(document),
    ...quotaProblems(document),
    ...unitProblems(document),
    ...rateLimitServiceProblems(document.rate_limit_service),
    ...issuerProblems(document.issuers.map(toIssuer), roles, source.ownIssuer),
    ...signInProblems(toSignInPolicy(document.console), roles),
    ...conflictProblems(routes, (index) => file.lineOf(["routes", index])),
  ];
  return problems.length > 0
    ? { ok: false, problems: problems.slice(0, MAX_PROBLEMS).map(format) }
    : { ok: true, document };
}

/** The mark is the last entry, so no truncated file has it. */
function completenessProblems(value: unknown, { requireComplete = false }: PolicySource): Problem[] {
  const names = Object.keys(Object(value));
  if (names.includes("policy"))
    return names.at(-1) === "policy"
      ? []
      : [{ path: ["policy"], message: "must be the last entry of the file" }];
  return requireComplete
    ? [
        {
          path: [],
          message: "the last entry is not `policy: { complete: true }`: the file may be half written",
        },
      ]
    : [];
}

interface BuiltInParts {
  readonly roles: NonNullable<PolicyDocument["roles"]>;
  readonly routes: NonNullable<PolicyDocument["routes"]>;
}

/** The built-in roles and routes, for a file that omits them. */
function builtIn(): BuiltInParts {
  const { roles, routes } = policySchema.parse(parse(readFileSync(BUILT_IN_POLICY_FILE, "utf8")));
  if (roles === undefined || routes === undefined)
    throw new Error("the built-in policy lacks roles or routes");
  return { roles, routes };
}

function toRoles(
  { roles }: Pick<CheckedDocument, "roles">,
  source: PolicySource,
  plans: ReadonlyMap<string, Plan>,
): ReadonlyMap<string, Role> {
  return new Map(Object.entries(roles).map(([name, entry]) => [name, toRole(name, entry, source, plans)]));
}

function toRole(
  name: string,
  entry: BuiltInParts["roles"][string],
  source: PolicySource,
  plans: ReadonlyMap<string, Plan>,
): Role {
  const plan = entry.plan === undefined ? undefined : plans.get(entry.plan);
  const maxFamilyAgeSeconds =
    entry.max_family_age ?? (entry.self_service ? SELF_SERVICE_FAMILY_AGE_SECONDS : undefined);
  return {
    name,
    scopes: new Set(entry.scopes),
    ttlSeconds: source.ttlSeconds?.get(name) ?? entry.ttl,
    refreshWindowSeconds: entry.refresh_window,
    ...(entry.refresh_overlap === undefined ? {} : { refreshOverlapSeconds: entry.refresh_overlap }),
    ...(maxFamilyAgeSeconds === undefined ? {} : { maxFamilyAgeSeconds }),
    selfService: entry.self_service,
    mayGrant: entry.may_grant,
    ...(plan === undefined ? {} : { plan }),
    mayAssignPlans: entry.may_assign_plans,
    bucketPrefix: name,
    rateLimits: toRateLimits(entry.rate_limits ?? []),
    quotas: toQuotas(entry.quotas ?? []),
  };
}

/** Converts one entry of `routes`. */
export function toRoute(
  entry: CheckedDocument["routes"][number],
  { headers, defaults }: Pick<PolicyDocument, "headers" | "defaults">,
): Route {
  return {
    label: entry.name ?? entry.path,
    pattern: entry.path,
    methods: entry.methods,
    hosts: entry.hosts,
    public: entry.public,
    scopes: entry.scopes,
    anyScope: entry.any_scope,
    cost: entry.cost,
    charges: entry.charge,
    ...(entry.reserve && { reserve: entry.reserve }),
    mode: entry.mode ?? defaults.mode,
    stripCredential: entry.strip_credential ?? headers.strip_credential,
  };
}

/** The route of CORS preflights (`requests.preflights: allow`). It needs no key, and strips any. */
function preflightRoute(mode: Mode): Route {
  return {
    label: PREFLIGHT_LABEL,
    pattern: "/**",
    methods: ["OPTIONS"],
    hosts: [],
    public: true,
    scopes: [],
    anyScope: [],
    cost: 0,
    charges: [],
    mode,
    stripCredential: true,
  };
}

function toMigrationPlan({ migration }: Pick<PolicyDocument, "migration">): Policy["migration"] {
  const { phase, overlap, sunset, migrate_until: until } = migration;
  return {
    phase,
    overlapSeconds: overlap,
    sunset,
    migrateUntil: until ?? sunset + MIGRATE_AFTER_SUNSET_SECONDS,
  };
}

/** Builds the policy of a checked file from its routes and their table. */
export function toPolicy(
  source: PolicySource,
  document: Omit<CheckedDocument, "routes">,
  routes: readonly Route[],
  table: RouteTable,
): Policy {
  const { requests } = document.audit;
  const plans = toPlans(document);
  const roles = toRoles(document, source, plans);
  return {
    hash: createHash("sha256").update(source.text).digest("hex").slice(0, 12),
    roles,
    plans,
    quotaCounts: toQuotaCounts(document),
    units: toUnits(document),
    routes: table,
    mode: routes.some(({ mode }) => mode === "enforce") ? "enforce" : document.defaults.mode,
    credentialSources: document.headers.credential,
    stripCredential: document.headers.strip_credential,
    requireHttps: document.headers.require_https ?? false,
    saysRequireHttps: document.headers.require_https !== undefined,
    forwardPrefix: document.headers.forward_prefix,
    guards: {
      failures: document.guards.failures,
      openCalls: document.guards.open_calls,
      selfServiceKeysMax: document.guards.self_service_keys,
    },
    faults: toFaults(document),
    migration: toMigrationPlan(document),
    issuers: document.issuers.map(toIssuer),
    signIn: toSignInPolicy(document.console),
    rateLimitDomains: toRateLimitDomains(document.rate_limit_service),
    audit: { ...document.audit, requests: requests === "refusals" ? "denials" : requests },
    deprecations: requests === "refusals" ? [REFUSALS_RENAMED] : [],
    warnings: [...unitWarnings(document, routes), ...costWarnings(routes, roles)],
    legacyRateLimit: document.headers.legacy_ratelimit,
    pathParams: document.requests.path_params,
    ...(document.requests.preflights === "allow" && {
      preflightRoute: preflightRoute(document.defaults.mode),
    }),
    routeLabels: new Set([
      ...[...new Set(routes.map((route) => route.label))].slice(0, MAX_ROUTE_LABELS),
      PREFLIGHT_LABEL,
    ]),
  };
}

function toFaults({ faults }: Pick<PolicyDocument, "faults">): Policy["faults"] {
  return {
    limits: faults.limits,
    quotas: faults.quotas,
    localMaxMs: faults.local_max * 1000,
    revocations: {
      maxStalenessMs: faults.revocations.max_staleness * 1000,
      stale: faults.revocations.then,
    },
  };
}

function issueProblems(issues: readonly z.core.$ZodIssue[]): Problem[] {
  const known = issues.some(({ code }) => code === "unrecognized_keys") ? fieldNames() : new Set<string>();
  return issues.flatMap((issue) => problemsOfIssue(issue, known));
}

/** Converts a zod issue to problems: one for each unknown field, and the inner message for an invalid record key. */
function problemsOfIssue(issue: z.core.$ZodIssue, known: ReadonlySet<string>): Problem[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.slice(0, MAX_PROBLEMS).map((key) => ({
      path: [...issue.path, key],
      message: `unknown field${didYouMean(key, known)}`,
    }));
  if (issue.code === "invalid_key")
    return [{ path: issue.path, message: issue.issues[0]?.message ?? issue.message }];
  return [{ path: issue.path, message: issue.message }];
}

function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) =>
      typeof part === "number" ? `[${part}]` : index === 0 ? String(part) : `.${String(part)}`,
    )
    .join("");
}
