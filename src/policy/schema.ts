import { z } from "zod";
import type { CredentialSource } from "../core/decision/credential.ts";
import { MAX_KEY_LIFE_SECONDS } from "../core/keys/key-lifecycle.ts";
import { PHASES } from "../core/legacy/migration.ts";
import type { BucketLimit } from "../core/limits/token-bucket.ts";
import { parseDuration, parseRate } from "../core/policy/duration.ts";
import { MAX_ROLE_SCOPE_CHARACTERS } from "../core/policy/scopes.ts";
import { issuerSchema } from "./issuers.ts";
import { name } from "./names.ts";
import { rateLimitServiceSchema } from "./rate-limit-service.ts";
import { rate } from "./rates.ts";
import { signInSchema } from "./sign-in.ts";
import { timeZone } from "./time-zone.ts";

const duration = z.string().transform((text, context) => {
  const seconds = parseDuration(text);
  if (seconds !== undefined && seconds > 0) return seconds;
  context.addIssue(`"${text}" is not a duration such as 30s, 5m, 12h or 7d`);
  return z.NEVER;
});

const ttl = duration.refine((seconds) => seconds <= MAX_KEY_LIFE_SECONDS, "must be at most 400d");

/** `60/m`: at most 60 at once, and 60 a minute. */
const guard = z.string().transform((text, context): BucketLimit => {
  const refillPerSecond = parseRate(text);
  const capacity = Math.floor(Number(text.split("/")[0]));
  if (refillPerSecond !== undefined && capacity >= 1) return { capacity, refillPerSecond };
  context.addIssue(`"${text}" is not a rate such as 60/m, of at least 1`);
  return z.NEVER;
});

// RFC 6749 §3.3 scope-token, without characters that need quoting in a header or a log line.
const scope = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9:._/-]{0,63}$/, "must be letters, digits and :._/-, at most 64");
const method = z.string().regex(/^[A-Z]{1,32}$/, "must be an HTTP method in capitals");
const host = z
  .string()
  .regex(
    /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$|^\[[0-9a-f:.]+\]$/,
    "must be a lower-case host name, or *. and one",
  );

const rateLimit = z.strictObject({
  name,
  per: z.enum(["key", "owner", "role", "address"]),
  capacity: z.int().min(1).max(1_000_000_000),
  refill: rate,
  lease: z
    .union([z.boolean(), z.enum(["on", "off"]).transform((text) => text === "on")], "must be on or off")
    .default(true),
});

const rateLimits = z.array(rateLimit).max(8);

const MAX_QUOTA = 1_000_000_000_000;

const quota = z
  .strictObject({
    name,
    per: z.enum(["key", "owner", "role"]),
    limit: z.number().refine((limit) => isWhole(limit, MAX_QUOTA), "must be a whole number from 0 to 10^12"),
    every: z.enum(["hour", "day", "week", "month"]),
    time_zone: timeZone.optional(),
    unit: name.default("requests"),
  })
  .refine(({ every, time_zone: zone }) => every !== "hour" || zone === undefined, {
    path: ["time_zone"],
    message: "an hour is the same in every time zone",
  });

function isWhole(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

const quotas = z.array(quota).max(8);

const wholeUnits = z
  .number()
  .refine((units) => units >= 1 && isWhole(units, MAX_QUOTA), "must be a whole number from 1 to 10^12");

const MAX_CHARGE_WITHIN = "24h";

const unit = z
  .strictObject({
    max_charge: wholeUnits.optional(),
    charge_within: duration
      .refine(
        (seconds) => seconds <= (parseDuration(MAX_CHARGE_WITHIN) ?? 0),
        `must be at most ${MAX_CHARGE_WITHIN}`,
      )
      .prefault("1h"),
    reserve_for: duration.prefault("10m"),
  })
  .refine(({ charge_within: within, reserve_for: reserved }) => reserved <= within, {
    path: ["reserve_for"],
    message: "must not be longer than charge_within",
  });

/** A plan must say at least one list, so that no plan is without limits by accident. */
const plan = z
  .strictObject({ rate_limits: rateLimits.optional(), quotas: quotas.optional() })
  .refine((lists) => lists.rate_limits !== undefined || lists.quotas !== undefined, {
    message: "needs rate_limits, quotas or both",
  });

const MAX_PLANS = 1000;
const planNames = z.array(name).max(MAX_PLANS);

const roleScopes = z
  .array(scope)
  .max(64)
  .refine(
    (scopes) => scopes.join(" ").length <= MAX_ROLE_SCOPE_CHARACTERS,
    `must have at most ${MAX_ROLE_SCOPE_CHARACTERS} characters together, because a key carries them`,
  );

const role = z.strictObject({
  scopes: roleScopes,
  ttl,
  refresh_window: duration,
  refresh_overlap: duration.optional(),
  max_family_age: duration.optional(),
  self_service: z.boolean().default(false),
  may_grant: z.array(name).default([]),
  plan: name.optional(),
  may_assign_plans: planNames.default([]),
  /** Both are kept undefined if they are absent, because a role with a plan must not have them. */
  rate_limits: rateLimits.optional(),
  quotas: quotas.optional(),
});

const mode = z.enum(["enforce", "shadow"]);

const route = z.strictObject({
  path: z.string(),
  name: name.optional(),
  methods: z.array(method).default([]),
  hosts: z.array(host).default([]),
  public: z.boolean().default(false),
  scopes: z.array(scope).default([]),
  any_scope: z.array(scope).default([]),
  cost: z.int().min(0).default(1),
  charge: z.array(name).max(4).default([]),
  reserve: z.strictObject({ unit: name, amount: wholeUnits }).optional(),
  mode: mode.optional(),
  strip_credential: z.boolean().optional(),
});

// Names of cookies and query parameters that have only one spelling (RFC 6265 token, RFC 3986 unreserved).
const PLACED_CREDENTIAL = /^(?:cookie|query):[A-Za-z0-9_.-]{1,64}$/;

const credentialSource = z.string().transform((text, context): CredentialSource => {
  if (text === "authorization" || text === "x-api-key") return text;
  if (PLACED_CREDENTIAL.test(text)) return text as CredentialSource; // The pattern is the type.
  context.addIssue(`"${text}" is not one of authorization, x-api-key, cookie:NAME and query:NAME`);
  return z.NEVER;
});

const headers = z.strictObject({
  credential: z
    .array(credentialSource)
    .min(1)
    .refine((sources) => new Set(sources).size === sources.length, "names one place twice")
    .default(["authorization", "x-api-key"]),
  forward_prefix: z
    .string()
    .regex(/^x-[a-z0-9-]{1,40}-$/, "must begin with x- and end with -, in lower case")
    .default("x-latchkey-"),
  strip_credential: z.boolean().default(true),
  require_https: z.boolean().optional(),
  legacy_ratelimit: z.boolean().default(false),
});

const date = z.iso.date("must be a date such as 2027-03-01").transform((text) => Date.parse(text) / 1000);

const migration = z.strictObject({
  phase: z.enum(PHASES).default("silent"),
  overlap: duration.prefault("30d"),
  sunset: date.prefault("2027-03-01"),
  migrate_until: date.optional(),
});

/** The form of the policy file. Unknown fields are problems, so every field here has an effect. */
export const policySchema = z.strictObject({
  roles: z.record(name, role).optional(),
  plans: z
    .record(name, plan)
    .refine((plans) => Object.keys(plans).length <= MAX_PLANS, `must be at most ${MAX_PLANS} plans`)
    .default({}),
  units: z.record(name, unit).default({}),
  routes: z.array(route).optional(),
  defaults: z
    .strictObject({
      unmatched: z.literal("deny").default("deny"),
      mode: mode.default("enforce"),
    })
    .prefault({}),
  headers: headers.prefault({}),
  faults: z
    .strictObject({
      limits: z.enum(["local", "deny", "allow"]).default("local"),
      quotas: z.enum(["count", "deny"]).default("count"),
      local_max: duration.prefault("10m"),
      revocations: z
        .strictObject({
          max_staleness: duration.prefault("5m"),
          // biome-ignore lint/suspicious/noThenProperty: the policy file's word; nothing awaits a policy.
          then: z.enum(["deny", "serve"]).default("deny"),
        })
        .prefault({}),
    })
    .prefault({}),
  guards: z
    .strictObject({
      failures: guard.prefault("60/m"),
      open_calls: guard.prefault("60/m"),
      self_service_keys: z.int().min(0).max(100_000_000).default(100_000),
    })
    .prefault({}),
  migration: migration.prefault({}),
  issuers: z.array(issuerSchema).max(16).default([]),
  audit: z
    .strictObject({
      requests: z.enum(["denials", "all", "off", "refusals"]).default("denials"),
      sample: z.number().gt(0).max(1).default(1),
    })
    .prefault({}),
  requests: z
    .strictObject({
      path_params: z.enum(["reject", "strip"]).default("reject"),
      preflights: z.enum(["check", "allow"]).default("check"),
    })
    .prefault({}),
  rate_limit_service: rateLimitServiceSchema.prefault({}),
  console: signInSchema.prefault({}),
  policy: z.strictObject({ complete: z.literal(true) }).optional(),
});

/** Every field name at any depth, for suggestions. */
export function fieldNames(): ReadonlySet<string> {
  const names = new Set<string>();
  JSON.stringify(z.toJSONSchema(policySchema, { io: "input", unrepresentable: "any" }), (key, value) => {
    if (key === "properties") for (const name of Object.keys(value)) names.add(name);
    return value;
  });
  return names;
}

export type PolicyDocument = z.output<typeof policySchema>;
