import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { Client, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { CHECK_METHOD, decodeCheckResponse, HEALTH_SERVICE } from "../../scripts/protobuf.ts";
import { encodeCheckResponse } from "../ext-authz/check-response-encoder.ts";
import { AUTHORIZATION_SERVICE, CHECK_PATH } from "./proto.ts";

test("the paths are those that Envoy and health probes call", () => {
  expect(CHECK_METHOD.path).toBe(CHECK_PATH);
  expect(HEALTH_SERVICE.Check.path).toBe("/grpc.health.v1.Health/Check");
  expect(HEALTH_SERVICE.Watch).toMatchObject({ path: "/grpc.health.v1.Health/Watch", responseStream: true });
  const serving = HEALTH_SERVICE.Check.responseSerialize({ status: 1 });
  expect(HEALTH_SERVICE.Check.responseDeserialize(serving)).toEqual({ status: 1 });
});

test("a gRPC server takes the service and hands its handler the bytes themselves, garbage too", async () => {
  const seen: Buffer[] = [];
  const server = new Server();
  server.addService(AUTHORIZATION_SERVICE, {
    Check: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      seen.push(call.request);
      answer(null, encodeCheckResponse({ status: { code: 7 }, denied_response: { status: { code: 403 } } }));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    const opened = (error: Error | null, bound: number) => (error === null ? resolve(bound) : reject(error));
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), opened);
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const { requestSerialize, responseDeserialize } = AUTHORIZATION_SERVICE.Check;
  const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
    client.makeUnaryRequest(
      CHECK_PATH,
      requestSerialize,
      responseDeserialize,
      Buffer.from([0xff]),
      (error, bytes) => (error === null ? resolve(bytes) : reject(error)),
    );
  });
  client.close();
  server.forceShutdown();
  expect(seen).toEqual([Buffer.from([0xff])]);
  expect(decodeCheckResponse(answer ?? Buffer.alloc(0)).status.code).toBe(7);
});
