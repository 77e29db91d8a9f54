import { z } from "zod";
import { USAGE_MEASURES } from "../../core/usage/top-usage.ts";
import { wholeNumber } from "../http/query-values.ts";
import { timestamp } from "../keys/schemas.ts";

/** The members of every count that may still run. */
const counted = {
  complete: z.boolean().meta({
    description: "False while the count runs: the numbers cover what was read so far. Call again for more.",
  }),
  as_of: timestamp.meta({ description: "The start of the count. Later changes may be missing." }),
};

export const planKeysResponse = z
  .object({
    plans: z.array(
      z.object({
        name: z.string(),
        known: z.boolean().meta({ description: "False if the policy does not have the plan." }),
        keys: z.int(),
      }),
    ),
    keys_read: z.int(),
    ...counted,
  })
  .meta({ title: "PlanKeys" });

export const nearLimitsQuery = z
  .strictObject({
    above: wholeNumber(50, 100, 3)
      .optional()
      .meta({ description: "Percent of the limit: 50 to 100, 80 by default." }),
    mode: z.enum(["enforce", "shadow"]).optional().meta({ description: "`enforce` by default." }),
    limit: wholeNumber(1, 500, 3).optional().meta({ description: "100 by default." }),
  })
  .meta({ title: "NearLimitsQuery" });

export const nearLimitsResponse = z
  .object({
    above: z.int(),
    quotas: z.array(
      z.object({
        name: z.string(),
        per: z.enum(["key", "owner", "role"]),
        subject: z.string().meta({ description: "The family, owner or role that uses the quota." }),
        mode: z.enum(["enforce", "shadow"]),
        every: z.enum(["hour", "day", "week", "month"]),
        unit: z.string(),
        used: z.int(),
        leased: z.int().meta({ description: "Units that instances hold as leases." }),
        limit: z.int().meta({ description: "The limit of the last request that took from the quota." }),
        percent: z.int().meta({
          description: "Percent of the limit that is used or leased, rounded down.",
        }),
        resets_at: timestamp,
      }),
    ),
    total: z.int().meta({ description: "All counters with at least this share." }),
    counters_read: z.int(),
    ...counted,
  })
  .meta({ title: "NearLimits" });

export const topUsageQuery = z
  .strictObject({
    of: z.enum(["owner", "family", "route"]).optional().meta({ description: "`owner` by default." }),
    by: z.enum(USAGE_MEASURES).optional().meta({
      description: "What the list is ordered by; `requests` by default. Routes have no `cost`.",
    }),
    days: z
      .enum(["1", "7", "30"])
      .optional()
      .meta({ description: "Days in UTC, up to and with today; 7 by default." }),
    limit: wholeNumber(1, 100, 3).optional().meta({ description: "20 by default." }),
  })
  .meta({ title: "TopUsageQuery" });

export const topUsageResponse = z
  .object({
    of: z.enum(["owner", "family", "route"]),
    by: z.enum(USAGE_MEASURES),
    from: timestamp,
    to: timestamp,
    top: z.array(
      z.object({
        name: z.string(),
        owner: z.string().nullable().meta({ description: "The owner of a family; otherwise null." }),
        allowed: z.int(),
        denied: z.int().meta({ description: "Requests that were denied for another reason than a limit." }),
        limited: z.int().meta({ description: "Requests that were denied by a rate limit or a quota." }),
        cost: z.int().nullable().meta({ description: "Null for a route." }),
      }),
    ),
    families_read: z.int(),
    metering: z.enum(["on", "off", "stopped"]),
    ...counted,
  })
  .meta({ title: "TopUsage" });
