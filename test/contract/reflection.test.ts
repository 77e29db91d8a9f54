import { afterEach, expect, test } from "vitest";
import { REFLECTION_SERVICE } from "../../scripts/protobuf.ts";
import { REFLECTION_PATHS } from "../../src/grpc/proto.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import { answerOf, connectRaw, frame, openCall } from "../support/grpc-client.ts";

const { requestSerialize, responseDeserialize } = REFLECTION_SERVICE.ServerReflectionInfo;
const closes: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

async function openReflection(transport: "http2" | "grpc-js", path: string = REFLECTION_PATHS[0]) {
  const server = await startGrpcServer({ listen: "127.0.0.1:0", methods: [], transport });
  closes.push(() => server.close(0));
  const session = await connectRaw(server.address);
  closes.push(() => session.destroy());
  return openCall(session, { ":path": path });
}

function messagesIn(body: Buffer) {
  const messages = [];
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    messages.push(responseDeserialize(body.subarray(at + 5, end)));
    at = end;
  }
  return messages;
}

const list = frame(requestSerialize({ list_services: "" }));
const both = ["http2", "grpc-js"] as const;

test.each(both.flatMap((transport) => REFLECTION_PATHS.map((path) => [transport, path] as const)))(
  "%s serves each request of a call to %s, also if it arrives byte by byte",
  async (transport, path) => {
    const call = await openReflection(transport, path);
    const bytes = Buffer.concat([list, frame(requestSerialize({ file_by_filename: "health.proto" }))]);
    for (const byte of bytes) call.write(Buffer.from([byte]));
    call.end();
    const { body, trailers } = await answerOf(call);
    expect(trailers?.["grpc-status"]).toBe("0");
    expect(messagesIn(body)).toMatchObject([
      { list_services_response: { service: [{}, {}, {}, {}] } },
      { file_descriptor_response: { file_descriptor_proto: [expect.any(Buffer)] } },
    ]);
  },
);

test.each(both)("%s responds before the client has sent all requests", async (transport) => {
  const call = await openReflection(transport);
  const response = answerOf(call);
  call.write(list);
  await new Promise((resolve) => call.once("data", resolve));
  call.end();
  expect((await response).trailers?.["grpc-status"]).toBe("0");
});

test.each([
  ["does not decode", frame(Buffer.from([0xff]))],
  ["is compressed", frame(Buffer.alloc(4), 1)],
  ["is too long", frame(Buffer.alloc(0), 0, 2 ** 31)],
])("a message that %s ends the call", async (_what, bytes) => {
  const call = await openReflection("http2");
  call.write(bytes);
  const { headers } = await answerOf(call);
  expect(headers["grpc-status"]).toBe("13");
});
