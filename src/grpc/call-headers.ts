import type { RequestHead } from "../http2/server.ts";
import type { HttpRejection, RpcRejection } from "./status.ts";
import { RPC_STATUS } from "./status.ts";

/** Header fields of a call that the server reads. Each may occur once. */
export const SINGLE_FIELDS = ["content-type", "grpc-encoding", "grpc-timeout"] as const;
/** Their places in `RequestHead.fields`. */
const [CONTENT_TYPE, ENCODING, TIMEOUT] = [0, 1, 2] as const;

const GRPC_CONTENT_TYPE = /^application\/grpc(?:\+proto)?(?:[ \t]*;|$)/i;

const METHOD_NOT_ALLOWED: HttpRejection = { httpStatus: 405 };
const UNSUPPORTED_MEDIA_TYPE: HttpRejection = { httpStatus: 415 };
const COMPRESSED: RpcRejection = {
  status: RPC_STATUS.UNIMPLEMENTED,
  message: "compressed messages are not accepted",
};
const INVALID_TIMEOUT: RpcRejection = {
  status: RPC_STATUS.INTERNAL,
  message: "grpc-timeout is malformed",
};

const TIMEOUT_VALUE = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * The timeout of the call in milliseconds (Infinity without grpc-timeout), or why the call is rejected (grpc,
 * PROTOCOL-HTTP2.md, Requests).
 */
export function parseCall({ method, fields }: RequestHead): number | RpcRejection | HttpRejection {
  if (method !== "POST") return METHOD_NOT_ALLOWED;
  const contentType = fields[CONTENT_TYPE];
  if (contentType !== "application/grpc" && !GRPC_CONTENT_TYPE.test(contentType ?? ""))
    return UNSUPPORTED_MEDIA_TYPE;
  const encoding = fields[ENCODING];
  if (encoding !== undefined && encoding !== "identity") return COMPRESSED;
  const timeout = fields[TIMEOUT];
  if (timeout === undefined) return Number.POSITIVE_INFINITY;
  const [, amount = "", unit = ""] = TIMEOUT_VALUE.exec(timeout) ?? [];
  const unitMs = UNIT_MS[unit];
  return unitMs === undefined ? INVALID_TIMEOUT : Number(amount) * unitMs;
}
