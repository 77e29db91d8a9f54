import { useCallback } from "preact/hooks";
import type { AuditEvents } from "../../../client/types.ts";
import { useClient, useMissingScope } from "../../data/context.ts";
import type { CallState } from "../../data/use-call.ts";
import { useCall } from "../../data/use-call.ts";

const NO_EVENTS: AuditEvents = { events: [], next_cursor: null, previous_cursor: null };

/**
 * The newest audit events of a family; none without the scope.
 * @param version changes when there may be new events
 */
export function useAudit(family: string, version: string): CallState<AuditEvents> {
  const client = useClient();
  const missing = useMissingScope("audit:read");
  return useCall(
    useCallback(
      async () => (missing === undefined ? client.audit({ family, limit: 200 }) : NO_EVENTS),
      [client, family, version, missing],
    ),
  );
}
