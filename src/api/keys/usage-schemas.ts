import { z } from "zod";
import { USAGE_PERIODS } from "../../core/usage/usage-report.ts";
import { timestamp } from "./schemas.ts";

const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** Milliseconds since 1970. A date is its first instant in UTC. */
export const momentMs = z
  .string()
  .max(40)
  .transform((text, context) => {
    const form = DATE.test(text) ? z.iso.date() : z.iso.datetime({ offset: true });
    if (form.safeParse(text).success) return Date.parse(text);
    context.addIssue("must be a date such as 2027-01-15, or a time such as 2027-01-15T12:00:00Z");
    return z.NEVER;
  });

/** A NumericDate. */
const moment = momentMs.transform((ms) => Math.floor(ms / 1000));

/** The parameters of every report. */
export const usageRange = {
  from: moment.optional().meta({
    description:
      "The first hour or day: a date or a time (RFC 3339). By default the last 24 hours or the last 30 days.",
  }),
  to: moment.optional().meta({
    description: "The report ends before this date or time; the present by default.",
  }),
  by: z.enum(USAGE_PERIODS).optional().meta({ description: "`day` by default." }),
};

export const usageQuery = z.strictObject(usageRange).meta({ title: "UsageQuery" });

/** The members of every row. */
export const usageRow = {
  time: timestamp.nullable().meta({ description: "The start of the hour or day in UTC; null for a route." }),
  route: z.string().nullable().meta({ description: "The route by its name or pattern; null for a period." }),
  allowed: z.int(),
  denied: z.int().meta({ description: "Requests that were denied for another reason than a limit." }),
  limited: z.int().meta({ description: "Requests that were denied by a rate limit or a quota." }),
  cost: z.int().nullable().meta({
    description: "The sum of the costs of the allowed requests; null for a route.",
  }),
  units: z.record(z.string(), z.int()).nullable().meta({
    description: "Amounts of other units that were charged, by unit; null for a route.",
  }),
};

/** The members of every report. */
export const usageReport = {
  by: z.enum(USAGE_PERIODS),
  from: timestamp,
  to: timestamp,
  metering: z.enum(["on", "off", "stopped"]).meta({
    description:
      "Whether this instance counts usage. `stopped`: usage has reached `USAGE_MAX_BYTES`, and newer usage is missing.",
  }),
};

export const usageResponse = z
  .object({ ...usageReport, usage: z.array(z.object(usageRow)) })
  .meta({ title: "Usage" });

export const holderLimitsResponse = z
  .object({
    plan: z
      .string()
      .nullable()
      .meta({ description: "The plan of the key; null if its role's limits apply." }),
    rate_limits: z.array(
      z.object({
        name: z.string(),
        per: z.enum(["key", "owner", "role"]),
        capacity: z.int(),
        refill_per_second: z.number(),
        remaining: z.int().nullable().meta({
          description:
            "Whole tokens that no instance holds; null for a limit that the whole role shares, because it is other people's traffic.",
        }),
      }),
    ),
    quotas: z.array(
      z.object({
        name: z.string(),
        unit: z.string(),
        limit: z.int(),
        used: z.int().nullable(),
        remaining: z.int().nullable(),
        resets_at: timestamp,
      }),
    ),
  })
  .meta({ title: "HolderLimits" });
