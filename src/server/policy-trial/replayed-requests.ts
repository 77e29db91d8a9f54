import type { CheckedPolicy } from "../../api/admin/policy-check-schemas.ts";
import { lastLines } from "../../audit/last-lines.ts";
import { readPastLine } from "../../audit/past-line.ts";
import { createReplay } from "../../audit/replay.ts";
import { countInvalidLine, countRequest, emptyReport, reportBody } from "../../audit/replay-report.ts";
import type { Policy } from "../../core/policy/policy.ts";

/** The end of the audit files that is read: some 50,000 requests. */
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_GROUPS = 200;

/** Decides the last requests in the audit files of this instance under another policy. */
export async function replayAuditFiles(auditFile: string, policy: Policy): Promise<CheckedPolicy["replay"]> {
  const replay = createReplay(policy);
  const report = emptyReport<string>();
  const times: string[] = [];
  for (const line of await lastLines(auditFile, MAX_BYTES)) {
    const past = readPastLine(line);
    if (past.kind === "gap") report.missing += past.lines;
    if (past.kind === "invalid") countInvalidLine(report, "");
    if (past.kind !== "request") continue;
    const { time } = past.request;
    times.push(time);
    countRequest(report, past.request, await replay(past.request), time);
  }
  const [from = null, to = null] = [times[0], times.at(-1)];
  const { requests, same, changed, undetermined, missing, bad, changes, ...rest } = reportBody(report);
  return {
    ...{ requests, same, changed, undetermined, missing, from, to },
    invalid_lines: bad,
    changes: changes.slice(0, MAX_GROUPS).map(({ first, ...change }) => ({ ...change, first_at: first })),
    undetermined_because: rest.undetermined_because.map(({ why, requests: count }) => ({
      why,
      requests: count,
    })),
    unseen: [...rest.unseen],
  };
}
