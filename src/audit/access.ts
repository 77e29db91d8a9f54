import type { CompletedCall } from "../core/audit/ports.ts";

/** Statuses of denials: not authenticated, not permitted, already done, gone, or rate limited. */
const DENIED_STATUSES = new Set([401, 403, 409, 410, 429]);
const OPERATORS = "/api/admin/";

/** Whether a call is audited: denials, and every call of an operator that is not a read. */
export function isAccountable({ method, route, status }: CompletedCall): boolean {
  const looking = method === "GET" || method === "HEAD";
  return DENIED_STATUSES.has(status) || (!looking && route?.startsWith(OPERATORS) === true);
}

/** The audit fields of a call. They never include its path, query or body. */
export function accessFields(call: CompletedCall) {
  const { method, route, status, problem, actor, keyId, address, requestId } = call;
  return {
    method,
    route,
    status,
    outcome: status < 400 ? "done" : "refused",
    reason: problem,
    actor,
    key_id: keyId,
    address: address.slice(0, 64),
    request_id: requestId,
  };
}
