import { z } from "zod";

/** A policy of 10,000 routes has about 1 MB. JSON escapes lines and quotes. */
export const MAX_POLICY_CHECK_BYTES = 2 * 1024 * 1024;
const MAX_TEXT_LENGTH = 1024 * 1024;

export const policyCheckBody = z
  .strictObject({
    text: z.string().max(MAX_TEXT_LENGTH).meta({ description: "The policy file." }),
    cases: z
      .string()
      .max(MAX_TEXT_LENGTH)
      .optional()
      .meta({ description: "A file of cases, which the policy is tested with." }),
    replay: z.boolean().optional().meta({
      description:
        "Also decide the last requests in the audit files of this instance. Needs the scope `audit:read`.",
    }),
  })
  .meta({ title: "PolicyCheck" });

export const fileProblem = z
  .object({ line: z.int().meta({ description: "From 1." }), detail: z.string() })
  .meta({ title: "FileProblem" });

const caseResult = z.object({
  line: z.int(),
  name: z.string(),
  reason: z.string().meta({ description: "`allowed`, or the reason of the denial." }),
  problems: z.array(z.string()).meta({ description: "What differs from the expectation. Empty: it passed." }),
  steps: z
    .array(z.object({ step: z.string(), observed: z.string(), outcome: z.string() }))
    .meta({ description: "The steps of the decision, for a case that failed." }),
});

export const testedCases = z
  .object({
    problems: z.array(fileProblem).meta({ description: "Why the cases cannot be run." }),
    passed: z.int(),
    failed: z.int(),
    results: z.array(caseResult).meta({ description: "At most 500, the failed ones first." }),
  })
  .meta({ title: "TestedCases" });

export const replayedRequests = z
  .object({
    requests: z.int(),
    same: z.int(),
    changed: z.int(),
    undetermined: z.int(),
    missing: z.int().meta({ description: "Requests without a line, because the queue of the log was full." }),
    invalid_lines: z.int(),
    from: z.string().nullable().meta({ description: "The time of the first request." }),
    to: z.string().nullable(),
    changes: z.array(
      z.object({
        route: z.string(),
        role: z.string(),
        was: z.string(),
        would_be: z.string(),
        requests: z.int(),
        first_at: z.string(),
      }),
    ),
    undetermined_because: z.array(z.object({ why: z.string(), requests: z.int() })),
    unseen: z.array(z.string()).meta({ description: "What the audit files do not show." }),
  })
  .meta({ title: "ReplayedRequests" });

export const policySummary = z
  .object({
    hash: z.string(),
    mode: z.enum(["enforce", "shadow"]),
    roles: z.int(),
    plans: z.int(),
    routes: z.int(),
    active: z.boolean().meta({ description: "Whether this is the text of the active policy." }),
  })
  .meta({ title: "PolicySummary" });

export const policyCheckResponse = z
  .object({
    ok: z.boolean().meta({ description: "Whether an instance would load the file." }),
    problems: z.array(fileProblem).meta({ description: "At most 200." }),
    warnings: z.array(z.string()),
    summary: policySummary.nullable().meta({ description: "Null for a file with problems." }),
    lacking_plans: z
      .array(z.object({ name: z.string(), overrides: z.int() }))
      .meta({ description: "Plans that overrides name, and that the policy does not have." }),
    cases: testedCases
      .nullable()
      .meta({ description: "Null without `cases`, or if the policy has problems." }),
    replay: replayedRequests
      .nullable()
      .meta({ description: "Null without `replay`, if the policy has problems, or with `AUDIT_FILE=off`." }),
  })
  .meta({ title: "CheckedPolicy" });

export type PolicyCheck = z.output<typeof policyCheckBody>;
export type CheckedPolicy = z.output<typeof policyCheckResponse>;
