import type { ComponentChildren } from "preact";
import { useCallback } from "preact/hooks";
import { LatchkeyProblem } from "../../client/problem.ts";
import type { AuditQuery } from "../../client/types.ts";
import { useClient, useMissingScope } from "../data/context.ts";
import { useCall } from "../data/use-call.ts";
import { Notice } from "./notice.tsx";
import { Time } from "./time.tsx";

/** Whether the call changed nothing because another operator was faster. */
export function isChangedMeanwhile(problem: unknown): boolean {
  return problem instanceof LatchkeyProblem && problem.reason === "changed-meanwhile";
}

export interface ChangedNoticeProps {
  /** Finds the audit events of the change. They must not change between renders. */
  readonly queries: readonly AuditQuery[];
  /** The present state. */
  readonly children: ComponentChildren;
}

/** Says what another operator has changed, and who, if the session may read the audit log. */
export function ChangedNotice({ queries, children }: ChangedNoticeProps) {
  const client = useClient();
  const missing = useMissingScope("audit:read");
  const { value } = useCall(
    useCallback(async () => {
      if (missing !== undefined) return undefined;
      const pages = await Promise.all(queries.map((query) => client.audit({ ...query, limit: 1 })));
      const events = pages.flatMap(({ events: found }) => found);
      return events.sort((a, b) => Date.parse(a.time) - Date.parse(b.time)).at(-1);
    }, [client, queries, missing]),
  );
  return (
    <Notice tone="warn">
      {children}
      {value !== undefined && (
        <>
          {" "}
          The last change is by <code>{value.actor}</code>, <Time at={value.time} />.
        </>
      )}{" "}
      Read what is below, and confirm again.
    </Notice>
  );
}
