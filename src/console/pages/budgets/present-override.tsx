import { useMemo } from "preact/hooks";
import type { LatchkeyClient } from "../../../client/client.ts";
import { LatchkeyProblem } from "../../../client/problem.ts";
import type { AppliedOverride } from "../../../client/types.ts";
import { ChangedNotice } from "../../parts/changed-notice.tsx";
import type { Subject } from "./subject.ts";
import { toLimitSubject } from "./subject.ts";

/** Says that another operator has changed the override. */
export function ChangedOverride({ subject: { scope, name } }: { readonly subject: Subject }) {
  const queries = useMemo(
    () => ["limits_set", "limits_cleared"].map((event) => ({ event, [scope]: name })),
    [scope, name],
  );
  return <ChangedNotice queries={queries}>The override has changed meanwhile.</ChangedNotice>;
}

/** What a change says that it replaces. */
export function versionOf(override: AppliedOverride | undefined): number {
  return override?.version ?? 0;
}

/** The override that is in force. */
export async function presentOverride(client: LatchkeyClient, subject: Subject) {
  try {
    return { override: await client.limits.showOverride(toLimitSubject(subject)) };
  } catch (problem) {
    if (problem instanceof LatchkeyProblem && problem.status === 404) return { override: undefined };
    throw problem;
  }
}
