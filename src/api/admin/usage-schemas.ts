import { z } from "zod";
import { pageLimit } from "../http/query-values.ts";
import { usageRange, usageReport, usageRow } from "../keys/usage-schemas.ts";

const name = z.string().min(1).max(300);

export const usageReportQuery = z
  .strictObject({
    ...usageRange,
    key_id: name.optional().meta({ description: "Only the family of this key." }),
    family: name.optional(),
    owner: name.optional(),
    cursor: z.string().max(1024).optional(),
    limit: pageLimit.optional().meta({
      description: "Families per page, 100 by default. A page of a long range has fewer.",
    }),
  })
  .refine(({ key_id, family, owner }) => [key_id, family, owner].filter(Boolean).length <= 1, {
    message: "give one of key_id, family and owner",
    path: ["key_id"],
  })
  .meta({ title: "UsageFilter" });

export const usageReportResponse = z
  .object({
    ...usageReport,
    usage: z.array(z.object({ owner: z.string(), family: z.string(), ...usageRow })),
    next_cursor: z.string().nullable(),
  })
  .meta({ title: "UsageReport" });
