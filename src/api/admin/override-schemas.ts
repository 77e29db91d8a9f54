import { z } from "zod";
import { pageLimit, wholeNumber } from "../http/query-values.ts";
import { planName, timestamp, visibleText } from "../keys/schemas.ts";

const MAX_UNITS = 10 ** 12;
const MAX_NOTE_CHARACTERS = 200;

const units = z.int().min(0).max(MAX_UNITS);
const quotaName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "must be the name of a quota");

const quotas = z
  .array(
    z.strictObject({
      name: quotaName,
      limit: units.meta({ description: "Units per window: 0 to 10^12." }),
      extra: units
        .optional()
        .meta({ description: "Units on top of the limit, once, in the present window." }),
    }),
  )
  .min(1, "must name a quota, or be left out")
  .max(8)
  .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, "names one quota twice")
  .meta({ description: "Replaces the whole list of quotas: a quota that is not named does not apply." });

const replaces = {
  description:
    "The `version` of the override on which the decision is based; 0 for none. If another one is in force, nothing changes.",
};

export const overrideClearQuery = z
  .strictObject({ replaces: wholeNumber(0, Number.MAX_SAFE_INTEGER, 16).optional().meta(replaces) })
  .meta({ title: "OverrideClearing" });

export const overrideBody = z
  .strictObject({
    plan: planName.optional(),
    quotas: quotas.optional(),
    note: visibleText(MAX_NOTE_CHARACTERS).optional().meta({ description: "For people: why it was set." }),
    expires_at: z.iso
      .datetime({ offset: true })
      .transform((text) => Math.ceil(Date.parse(text) / 1000))
      .optional()
      .meta({ description: "The override ends at this time (RFC 3339), which must be in the future." }),
    replaces: z.int().min(0).optional().meta(replaces),
  })
  .refine(({ plan, quotas: list }) => plan !== undefined || list !== undefined, {
    message: "give a plan, quotas, or both",
    path: ["plan"],
  })
  .meta({ title: "LimitOverride" });

export const overrideResponse = z
  .object({
    owner: z.string().nullable().meta({ description: "Null for the override of a family." }),
    family: z.string().nullable().meta({ description: "Null for the override of an owner." }),
    plan: z.string().nullable(),
    plan_known: z
      .boolean()
      .meta({ description: "False if the policy does not have the plan. Then it does not apply." }),
    quotas: z
      .array(
        z.object({
          name: z.string(),
          limit: z.int(),
          extra: z.int(),
          extra_until: timestamp.nullable().meta({
            description:
              "The end of the window in which `extra` applies. Null without `extra`, or if the policy does not have the quota.",
          }),
        }),
      )
      .nullable(),
    note: z.string().nullable(),
    version: z.int().meta({ description: "Another one after each change." }),
    set_at: timestamp,
    expires_at: timestamp.nullable(),
  })
  .meta({ title: "AppliedOverride" });

export const overrideListQuery = z
  .strictObject({
    plan: planName.optional().meta({
      description: "Only overrides that name this plan, also if the policy does not have it.",
    }),
    cursor: z.string().max(1024).optional(),
    limit: pageLimit.optional().meta({ description: "Overrides per page, 100 by default." }),
  })
  .meta({ title: "OverrideFilter" });

export const overrideListResponse = z
  .object({ overrides: z.array(overrideResponse), next_cursor: z.string().nullable() })
  .meta({ title: "OverrideList" });
