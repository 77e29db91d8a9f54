/** The gRPC statuses that the server itself sends (grpc/statuscodes.md). */
export const RPC_STATUS = {
  NOT_FOUND: 5,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
} as const;

/** Why a call ends without a response message. The text is plain ASCII, and never contains text of the client. */
export interface RpcRejection {
  readonly status: (typeof RPC_STATUS)[keyof typeof RPC_STATUS];
  readonly message: string;
}

/** A request that is not gRPC gets a plain HTTP response. */
export interface HttpRejection {
  readonly httpStatus: 405 | 415;
}

export const UNDECODABLE_MESSAGE: RpcRejection = {
  status: RPC_STATUS.INTERNAL,
  message: "the message does not decode",
};
