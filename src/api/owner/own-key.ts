import { showKey } from "../../core/keys/key-administration.ts";
import type { KeyRecord } from "../../core/keys/key-record.ts";
import { isKeyId } from "../../core/keys/key-record.ts";
import { sendPathProblem } from "../admin/operator-call.ts";
import type { Call } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import type { OwnerPorts, SignedInHolder } from "./owner-access.ts";

type OwnCall<B, Q> = Call<B, Q, SignedInHolder>;

/** Runs `next` with the record of the caller's own key. The key of another owner does not exist for the caller. */
export async function withOwnKey<B, Q>(
  ports: OwnerPorts,
  call: OwnCall<B, Q>,
  next: (record: KeyRecord) => Promise<OwnCall<B, Q>["reply"]>,
): Promise<OwnCall<B, Q>["reply"]> {
  const keyId = call.param("key_id");
  if (!isKeyId(keyId)) return sendPathProblem(call, "key_id", "is not a key id: a key is not its id");
  const found = await showKey(ports.registry, keyId);
  if (found === undefined || found.record.owner !== call.caller.owner.owner)
    return sendProblem(call.reply, "not_found");
  return next(found.record);
}
