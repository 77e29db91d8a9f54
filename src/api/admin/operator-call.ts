import type { FastifyReply } from "fastify";
import { isKeyId } from "../../core/keys/key-record.ts";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { Call } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";

/** Runs `next` with the key id in the path. Rejects anything that is not a key id, in particular a key. */
export async function withKeyId<B, Q>(
  call: Call<B, Q, CallOrigin>,
  next: (keyId: string, origin: CallOrigin) => Promise<Call<B, Q>["reply"]>,
): Promise<Call<B, Q>["reply"]> {
  const keyId = call.param("key_id");
  if (isKeyId(keyId)) return next(keyId, call.caller);
  return sendPathProblem(
    call,
    "key_id",
    "is not a key id: it must look like basic_1700000000_…, and a key is not its id",
  );
}

/** Sends `request_invalid` for the parameter `name` of the path. */
export function sendPathProblem<B, Q>(call: Call<B, Q>, name: string, detail: string): Call<B, Q>["reply"] {
  return sendProblem(call.reply, "request_invalid", { errors: [{ pointer: `#/path/${name}`, detail }] });
}

/** Sends `request_invalid` for the parameter `name` of the query. */
export function sendQueryProblem(reply: FastifyReply, name: string, detail: string): FastifyReply {
  return sendProblem(reply, "request_invalid", { errors: [{ pointer: `#/query/${name}`, detail }] });
}
