import { isKeyId } from "../../core/keys/key-record.ts";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { Call } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";

/** Runs the rest for the key that the path names, whose id must have the form of one: a key itself must not pass for its id. */
export async function withKeyId<B, Q>(
  call: Call<B, Q, CallOrigin>,
  next: (keyId: string, origin: CallOrigin) => Promise<Call<B, Q>["reply"]>,
): Promise<Call<B, Q>["reply"]> {
  const keyId = call.param("key_id");
  if (isKeyId(keyId)) return next(keyId, call.who);
  return sendPathProblem(
    call,
    "key_id",
    "is not a key id: those look like basic_1700000000_…, and are no keys",
  );
}

export function sendPathProblem<B, Q>(call: Call<B, Q>, name: string, detail: string): Call<B, Q>["reply"] {
  return sendProblem(call.reply, "request_invalid", { errors: [{ pointer: `#/path/${name}`, detail }] });
}
