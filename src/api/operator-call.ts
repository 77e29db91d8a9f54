import { isKeyId } from "../core/key-record.ts";
import type { OperatorScope } from "../core/operator.ts";
import type { CallOrigin } from "../core/registry.ts";
import type { ApiPorts } from "./calls.ts";
import { operatorOf, originOf } from "./calls.ts";
import type { Call } from "./endpoint.ts";
import type { ProblemName } from "./problem.ts";
import { sendProblem } from "./problem.ts";

/** What every operator's call may answer. */
export const OPERATOR_PROBLEMS = [
  "operator_required",
  "operator_scope_missing",
  "credential_invalid",
  "request_invalid",
  "store_unavailable",
] as const satisfies readonly ProblemName[];

/** Runs the rest only for an operator with the scope; the refusal has been sent otherwise. */
export async function asOperator<B, Q>(
  call: Call<B, Q>,
  ports: ApiPorts,
  scope: OperatorScope,
  next: (origin: CallOrigin) => Promise<Call<B, Q>["reply"]>,
): Promise<Call<B, Q>["reply"]> {
  const operator = await operatorOf(call.request, call.reply, ports, scope);
  return operator === undefined ? call.reply : next(originOf(call.request, operator, ports));
}

/** The same for a call about one key, whose id must have the form of one: a key itself must not pass for its id. */
export function aboutKey<B, Q>(
  call: Call<B, Q>,
  ports: ApiPorts,
  scope: OperatorScope,
  next: (keyId: string, origin: CallOrigin) => Promise<Call<B, Q>["reply"]>,
): Promise<Call<B, Q>["reply"]> {
  return asOperator(call, ports, scope, async (origin) => {
    const keyId = call.param("key_id");
    if (isKeyId(keyId)) return next(keyId, origin);
    return sendPathProblem(
      call,
      "key_id",
      "is not a key id: those look like basic_1700000000_…, and are no keys",
    );
  });
}

export function sendPathProblem<B, Q>(call: Call<B, Q>, name: string, detail: string): Call<B, Q>["reply"] {
  return sendProblem(call.reply, "request_invalid", { errors: [{ pointer: `#/path/${name}`, detail }] });
}
