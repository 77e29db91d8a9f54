import type { RequestHead } from "../http2/request-head.ts";
import type { HttpRejection, RpcRejection } from "./status.ts";
import { RPC_STATUS } from "./status.ts";

const GRPC_CONTENT = /^application\/grpc(?:\+proto)?(?:[ \t]*;|$)/i;

const NO_POST: HttpRejection = { httpStatus: 405 };
const NO_GRPC: HttpRejection = { httpStatus: 415 };
const COMPRESSION: RpcRejection = {
  status: RPC_STATUS.UNIMPLEMENTED,
  message: "compressed messages are not taken",
};
const TIMEOUT_FORM: RpcRejection = { status: RPC_STATUS.INTERNAL, message: "grpc-timeout has a wrong form" };

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Milliseconds that the caller gives the call (Infinity where it does not say), or why it is none that we take
 * (grpc, PROTOCOL-HTTP2.md, Requests).
 */
export function readCall({
  method,
  contentType,
  encoding,
  timeout,
}: RequestHead): number | RpcRejection | HttpRejection {
  if (method !== "POST") return NO_POST;
  if (contentType !== "application/grpc" && !GRPC_CONTENT.test(contentType ?? "")) return NO_GRPC;
  if (encoding !== undefined && encoding !== "identity") return COMPRESSION;
  if (timeout === undefined) return Number.POSITIVE_INFINITY;
  const [, amount = "", unit = ""] = TIMEOUT.exec(timeout) ?? [];
  const unitMs = UNIT_MS[unit];
  return unitMs === undefined ? TIMEOUT_FORM : Number(amount) * unitMs;
}
