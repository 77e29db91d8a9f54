import type { CompletedCall } from "../core/audit/ports.ts";

/** Refused for who somebody is, or for what they may not do (again). */
const REFUSED = new Set([401, 403, 409, 410, 429]);
const OPERATORS = "/api/admin/";

/** Whether a call leaves a line: what was refused so, and whatever an operator does beside looking. */
export function isAccountable({ method, route, status }: CompletedCall): boolean {
  const looking = method === "GET" || method === "HEAD";
  return REFUSED.has(status) || (!looking && route?.startsWith(OPERATORS) === true);
}

/** What the audit log tells of a call; nothing of its path, query or body. */
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
