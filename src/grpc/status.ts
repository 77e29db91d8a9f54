/** The statuses of gRPC that the server itself gives (grpc/statuscodes.md). */
export const RPC_STATUS = {
  NOT_FOUND: 5,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
} as const;

/** Why a call ends without an answer. The words are ours alone, never the caller's, and plain ASCII. */
export interface RpcRejection {
  readonly status: (typeof RPC_STATUS)[keyof typeof RPC_STATUS];
  readonly message: string;
}

/** To what is no gRPC call at all, plain HTTP is spoken. */
export interface HttpRejection {
  readonly httpStatus: 405 | 415;
}
