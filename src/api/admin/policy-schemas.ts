import { z } from "zod";

export const rejectedPolicy = z
  .object({ at: z.iso.datetime(), problems: z.array(z.string()) })
  .meta({ title: "RejectedPolicy" });

export const policyResponse = z
  .object({
    hash: z.string().meta({ description: "The label of the metric `latchkey_policy_info`." }),
    file: z.string(),
    mode: z
      .enum(["enforce", "shadow"])
      .meta({ description: "The mode for requests that cannot be parsed or that match no route." }),
    loaded_at: z.iso.datetime(),
    loaded_by: z
      .enum(["start", "file", "signal", "call"])
      .meta({ description: "The start, a changed file, SIGHUP, or the call of an operator." }),
    loaded_by_actor: z
      .string()
      .nullable()
      .meta({ description: "The operator of `call`, as in audit lines." }),
    rejected: rejectedPolicy.nullable().meta({
      description: "The file that was read last, if it has errors. The former policy stays active.",
    }),
    text: z.string().meta({ description: "The text of the file as it was loaded." }),
  })
  .meta({ title: "Policy" });

const rateLimits = z.array(
  z.object({
    name: z.string(),
    per: z.enum(["key", "owner", "role", "address"]),
    capacity: z.int(),
    refill_per_second: z.number(),
  }),
);

const quotas = z.array(
  z.object({
    name: z.string(),
    per: z.enum(["key", "owner", "role"]),
    limit: z.int(),
    every: z.enum(["hour", "day", "week", "month"]),
    time_zone: z.string().meta({ description: "An IANA name." }),
    unit: z.string(),
  }),
);

const FALLBACK = "Null: the list of the next plan or role in the order of precedence applies.";

export const plansResponse = z
  .object({
    plans: z.array(
      z.object({
        name: z.string(),
        rate_limits: rateLimits.nullable().meta({ description: FALLBACK }),
        quotas: quotas.nullable().meta({ description: FALLBACK }),
        overrides: z.int().meta({ description: "Overrides of owners and families with this plan." }),
      }),
    ),
    unknown: z
      .array(z.object({ name: z.string(), overrides: z.int() }))
      .meta({ description: "Plans that overrides name, and that the policy does not have." }),
  })
  .meta({ title: "Plans" });

export const rolesResponse = z
  .object({
    roles: z.array(
      z.object({
        name: z.string(),
        scopes: z.array(z.string()),
        ttl_seconds: z.int(),
        refresh_window_seconds: z.int(),
        self_service: z.boolean(),
        may_grant: z.array(z.string()),
        plan: z.string().nullable(),
        may_assign_plans: z.array(z.string()),
        rate_limits: rateLimits.meta({ description: "The role's own limits. A role with a plan has none." }),
        quotas: quotas.meta({ description: "The role's own quotas. A role with a plan has none." }),
      }),
    ),
  })
  .meta({ title: "Roles" });

export const reloadResponse = z
  .object({ result: z.enum(["taken", "unchanged"]), hash: z.string() })
  .meta({ title: "Reload" });
