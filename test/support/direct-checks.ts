import { decodeCheckResponse, encodeCheckRequest } from "../../scripts/protobuf.ts";
import { call, connectRaw, frame } from "./grpc-client.ts";

/** Sends Checks to a gRPC listener, without Envoy. */
export interface DirectChecks {
  /** Latchkey's reason: `allowed`, or the reason of the denial. Rejects if there is no response. */
  check(path: string, key?: string): Promise<string>;
  close(): void;
}

export async function connectChecks(grpc: string): Promise<DirectChecks> {
  const session = await connectRaw(grpc);
  return {
    async check(path, key) {
      const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
      const http = { method: "GET", path, host: "x", scheme: "https", headers };
      const { body } = await call(session, frame(encodeCheckRequest({ attributes: { request: { http } } })));
      const { status, ...response } = decodeCheckResponse(body.subarray(5));
      if (status.code === 0) return "allowed";
      const denied = "denied_response" in response ? (response.denied_response.headers ?? []) : [];
      const reason = denied.find(({ header }) => header.key === "x-latchkey-reason")?.header.value;
      if (reason === undefined) throw new Error("the response has no reason");
      return reason;
    },
    close: () => session.close(),
  };
}
