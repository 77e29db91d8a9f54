import { encodeCheckRequest } from "../scripts/protobuf.ts";
import { encodeMessageFrame } from "../src/grpc/message-frame.ts";
import { createKeyRing } from "../src/jwt/key-ring.ts";
import { createSigner } from "../src/jwt/signer.ts";
import { SECRET } from "./candidates/candidate.ts";
import { benchAttributes, benchRecord, NAMES } from "./decision.ts";

const ring = await createKeyRing([SECRET]);
const signer = createSigner(() => ring, NAMES);

/** Tokens of different keys, starting at number `from`. The keys have no records, because a Check reads none. */
export async function signTokens(count: number, from = 0): Promise<string[]> {
  const tokens: string[] = [];
  for (let i = 0; i < count; i++) tokens.push(await signer.sign(benchRecord(from + i)));
  return tokens;
}

/** The Check that Envoy sends for a request with this token, as a gRPC message frame. */
export function checkOf(token: string): Buffer {
  return encodeMessageFrame(encodeCheckRequest({ attributes: benchAttributes(token) }));
}
