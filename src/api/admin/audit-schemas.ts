import { z } from "zod";
import { OLDEST } from "../../core/audit/audit-query.ts";
import { pageLimit } from "../http/query-values.ts";
import { momentMs } from "../keys/usage-schemas.ts";

const name = z.string().min(1).max(300);
const cursor = z.string().max(64);

export const auditQuery = z
  .strictObject({
    after: cursor.optional().meta({
      description: `Returns the events after this cursor, or from the first one on with \`${OLDEST}\`. Without \`after\` and \`before\`: the newest events.`,
    }),
    before: cursor.optional().meta({ description: "Returns the newest events before this cursor." }),
    from: momentMs
      .optional()
      .meta({ description: "Only events from this date or time on (RFC 3339). A date begins in UTC." }),
    to: momentMs.optional().meta({ description: "Only events before this date or time." }),
    event: name.optional(),
    outcome: z.enum(["done", "refused"]).optional(),
    actor: name.optional().meta({ description: "`admin:…`, `key:…` or `anonymous`." }),
    key_id: name.optional(),
    family: name.optional(),
    owner: name.optional(),
    role: name.optional(),
    order: z.enum(["oldest", "newest"]).optional().meta({
      description: "Which event of the page comes first; `oldest` by default.",
    }),
    limit: pageLimit.optional(),
  })
  .refine(({ after, before }) => after === undefined || before === undefined, {
    message: "give either after or before",
    path: ["before"],
  })
  .refine(({ from, to }) => from === undefined || to === undefined || from < to, {
    message: "must be before to",
    path: ["from"],
  })
  .meta({ title: "AuditQuery" });

export const auditEvent = z.object({
  cursor: z.string(),
  event_id: z.string(),
  time: z.string(),
  event: z.string(),
  outcome: z.enum(["done", "refused"]),
  reason: z.string().nullable(),
  actor: z.string(),
  address: z.string().nullable(),
  request_id: z.string().nullable(),
  key_id: z.string().nullable(),
  family: z.string().nullable(),
  owner: z.string().nullable(),
  role: z.string().nullable(),
  plan: z.string().nullable(),
});

export const auditResponse = z
  .object({
    events: z.array(auditEvent),
    next_cursor: z.string().nullable().meta({
      description: "The cursor after which later events follow; null if there are no events yet.",
    }),
    previous_cursor: z.string().nullable().meta({
      description:
        "The cursor before which earlier events may match; null if there are none, and with `after`.",
    }),
  })
  .meta({ title: "AuditEvents" });
