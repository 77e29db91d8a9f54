import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { Client, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { CHECK_METHOD, decodeCheckResponse, HEALTH_SERVICE } from "../../scripts/protobuf.ts";
import { encodeCheckResponse } from "../ext-authz/check-response-encoder.ts";
import { CHECK_PATH } from "../ext-authz/method.ts";
import { unaryDefinition } from "./grpc-js-transport.ts";

test("the paths are those that Envoy and health probes call", () => {
  expect(CHECK_METHOD.path).toBe(CHECK_PATH);
  expect(HEALTH_SERVICE.Check.path).toBe("/grpc.health.v1.Health/Check");
  expect(HEALTH_SERVICE.Watch).toMatchObject({ path: "/grpc.health.v1.Health/Watch", responseStream: true });
  const serving = HEALTH_SERVICE.Check.responseSerialize({ status: 1 });
  expect(HEALTH_SERVICE.Check.responseDeserialize(serving)).toEqual({ status: 1 });
});

test("the definition of a unary method passes the bytes to the handler undecoded, invalid ones as well", async () => {
  const definition = unaryDefinition(CHECK_PATH);
  const received: Buffer[] = [];
  const server = new Server();
  server.addService(
    { Check: definition },
    {
      Check: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        received.push(call.request);
        reply(null, encodeCheckResponse({ status: { code: 7 }, denied_response: { status: { code: 403 } } }));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    const onBound = (error: Error | null, bound: number) => (error === null ? resolve(bound) : reject(error));
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), onBound);
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const { requestSerialize, responseDeserialize } = definition;
  const response = await new Promise<Buffer | undefined>((resolve, reject) => {
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
  expect(received).toEqual([Buffer.from([0xff])]);
  expect(decodeCheckResponse(response ?? Buffer.alloc(0)).status.code).toBe(7);
});
