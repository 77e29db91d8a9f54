import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { constants } from "node:http2";
import { connect as connectSocket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { answerOf, call, connectRaw, frame, openCall } from "../../test/support/grpc-client.ts";
import { checkMethod } from "../ext-authz/method.ts";
import type { GrpcServer } from "./server.ts";
import { startGrpcServer } from "./server.ts";

const HEALTH_PATH = "/grpc.health.v1.Health/Check";
const DENIAL = Buffer.from("denial");

let server: GrpcServer;
let session: ClientHttp2Session;
let received: (Uint8Array | undefined)[];
const sessions: ClientHttp2Session[] = [];

beforeEach(async () => {
  received = [];
  server = await startGrpcServer({
    listen: "127.0.0.1:0",
    methods: [
      checkMethod((message) => {
        received.push(message);
        return message ?? DENIAL;
      }),
    ],
  });
  session = await connected();
});

afterEach(async () => {
  for (const open of sessions.splice(0)) open.destroy();
  await server.close(0);
});

async function connected(options: object = {}): Promise<ClientHttp2Session> {
  const opened = await connectRaw(server.address, options);
  sessions.push(opened);
  return opened;
}

/** The response has the expected headers, body and trailers. */
async function expectServed(client: ClientHttp2Session): Promise<void> {
  const { headers, trailers, body } = await call(client, frame(Buffer.from("hello")));
  expect(headers).toMatchObject({ ":status": 200, "content-type": "application/grpc" });
  expect(trailers).toMatchObject({ "grpc-status": "0" });
  expect(body).toEqual(frame(Buffer.from("hello")));
}

test.each(["application/grpc", "application/grpc+proto", "application/grpc; charset=x"])(
  "a call with content-type %s is served",
  async (type) => {
    expect((await call(session, frame(Buffer.from("m")), { "content-type": type })).body).toEqual(
      frame(Buffer.from("m")),
    );
  },
);

test.each([
  undefined,
  "application/json",
  "application/grpc-web",
  "application/grpc+json",
  "text/application/grpc",
])(
  "a call with content-type %s is not gRPC: it gets HTTP status 415, and a Check is denied",
  async (type) => {
    const other = { "content-type": type, ":path": "/grpc.health.v1.Health/Check" };
    expect((await call(session, frame(Buffer.alloc(0)), other)).headers).toMatchObject({ ":status": 415 });
    const { trailers, body } = await call(session, frame(Buffer.from("m")), { "content-type": type });
    expect(trailers).toMatchObject({ "grpc-status": "0" });
    expect(body).toEqual(frame(DENIAL));
    expect(received).toEqual([undefined]);
  },
);

test("a request with another method than POST is rejected", async () => {
  expect((await call(session, frame(Buffer.alloc(0)), { ":method": "PUT" })).headers[":status"]).toBe(405);
  expect(received).toEqual([]);
});

test.each([
  ["an unknown path", { ":path": "/envoy.service.auth.v3.Authorization/check" }, "12"],
  ["compression, with the encoding that it accepts", { "grpc-encoding": "gzip" }, "12"],
  ["a timeout without a unit", { "grpc-timeout": "100" }, "13"],
  ["a timeout of nine digits", { "grpc-timeout": "123456789m" }, "13"],
  ["a negative timeout", { "grpc-timeout": "-1S" }, "13"],
])("rejects %s with a Trailers-Only response", async (_case, headers, code) => {
  const path = "/grpc.health.v1.Health/Check";
  const response = await call(session, frame(Buffer.alloc(0)), { ":path": path, ...headers });
  expect(response.headers).toMatchObject({
    ":status": 200,
    "content-type": "application/grpc",
    "grpc-status": code,
    "grpc-accept-encoding": "identity",
  });
  expect(response.trailers).toBeUndefined();
  expect(response.body).toHaveLength(0);
  expect(received).toEqual([]);
  await expectServed(session);
});

/** Fields of 60,000 bytes each. */
function large(fields: number): Readonly<Record<string, string>> {
  return Object.fromEntries(Array.from({ length: fields }, (_, index) => [`x-${index}`, "v".repeat(60_000)]));
}

test.each<readonly [string, Readonly<Record<string, string>>]>([
  ["compression", { "grpc-encoding": "gzip" }],
  ["a timeout without a unit", { "grpc-timeout": "100" }],
  ["a timeout that Envoy joined from two headers", { "grpc-timeout": "200m,5S" }],
  ["a content-type with a second value", { "content-type": "application/grpc,text/html" }],
  ["too much metadata", large(5)],
])("a Check with %s is denied by a CheckResponse, and its connection continues", async (_what, headers) => {
  const own = await connected({ maxSendHeaderBlockLength: 1024 * 1024 });
  const { trailers, body } = await call(own, frame(Buffer.from("m")), headers);
  expect(trailers).toMatchObject({ "grpc-status": "0" });
  expect(body).toEqual(frame(DENIAL));
  expect(received).toEqual([undefined]);
  await expectServed(own);
});

const INVALID: [string, Buffer][] = [
  ["nothing", Buffer.alloc(0)],
  ["half a head", Buffer.from([0, 0, 0])],
  ["a message that ends before its length", frame(Buffer.from("half"), 0, 100)],
  ["more than its length", Buffer.concat([frame(Buffer.from("one")), Buffer.from("x")])],
  ["two messages", Buffer.concat([frame(Buffer.from("one")), frame(Buffer.from("two"))])],
  ["a compressed message", frame(Buffer.from("gz"), 1)],
  ["an unknown flag", frame(Buffer.from("m"), 2)],
  ["a length of 4 GiB", frame(Buffer.from("m"), 0, 0xffffffff)],
  ["a message over 256 KiB", frame(Buffer.alloc(256 * 1024 + 1))],
];

test.each(INVALID)("a Check with %s is denied by a CheckResponse, not by an error", async (_what, bytes) => {
  const { trailers, body } = await call(session, bytes);
  expect(trailers).toMatchObject({ "grpc-status": "0" });
  expect(body).toEqual(frame(DENIAL));
  expect(received).toEqual([undefined]);
  await expectServed(session);
});

test.each(INVALID)("a health check with %s gets a gRPC status", async (_what, bytes) => {
  const { headers, body } = await call(session, bytes, { ":path": HEALTH_PATH });
  expect(headers["grpc-status"]).toMatch(/^(?:8|13)$/);
  expect(body).toHaveLength(0);
});

test("a health check whose message does not decode is rejected", async () => {
  const { headers } = await call(session, frame(Buffer.from([0xff])), { ":path": HEALTH_PATH });
  expect(headers).toMatchObject({ "grpc-status": "13" });
});

test("a message may arrive byte by byte", async () => {
  const stream = openCall(session);
  const answer = answerOf(stream);
  for (const byte of frame(Buffer.from("drop")))
    await new Promise((sent) => stream.write(Buffer.of(byte), sent));
  stream.end();
  expect((await answer).body).toEqual(frame(Buffer.from("drop")));
});

test("a message of exactly 256 KiB is accepted", async () => {
  expect((await call(session, frame(Buffer.alloc(256 * 1024, "m")))).body).toHaveLength(256 * 1024 + 5);
});

test("an incomplete call is reset at its deadline", async () => {
  const stream = openCall(session, { "grpc-timeout": "1m" });
  stream.write(frame(Buffer.from("the first half"), 0, 1000));
  await expect(answerOf(stream)).rejects.toThrow("no response");
  expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  expect(received).toEqual([]);
  await expectServed(session);
});

test("a call that its client resets before its end does not reach the method", async () => {
  const stream = openCall(session);
  stream.write(frame(Buffer.from("complete, without END_STREAM")));
  stream.close(constants.NGHTTP2_CANCEL);
  await once(stream, "close");
  await expectServed(session);
  expect(received).toEqual([Buffer.from("hello")]);
});

test("a client that sends without end gets a denial, and its call is reset", async () => {
  const stream = openCall(session, { "grpc-timeout": "1m" });
  const answer = answerOf(stream);
  const pour = () => {
    while (!stream.destroyed && stream.write(Buffer.alloc(64 * 1024))) {
      // Writes until there is backpressure.
    }
  };
  stream.on("drain", pour);
  stream.write(frame(Buffer.alloc(0), 0, 0xffffffff));
  pour();
  expect((await answer).body).toEqual(frame(DENIAL));
  await expectServed(session);
});

test("many and large headers are accepted, because Envoy may copy headers of its client into a Check", async () => {
  const long = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-long-${i}`, "h".repeat(1000)]));
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x-many-${i}`, "h "]));
  for (const headers of [long, many])
    expect((await call(session, frame(Buffer.from("m")), headers)).body).toEqual(frame(Buffer.from("m")));
});

test("a client that takes no response does not delay others", async () => {
  const slow = await connected({ settings: { initialWindowSize: 0 } });
  const waiting = Array.from({ length: 200 }, () => openCall(slow, { "grpc-timeout": "1m" }));
  const ended = waiting.map((stream) => once(stream, "close"));
  for (const stream of waiting) stream.end(frame(Buffer.from("m")));
  await expectServed(session);
  await Promise.all(ended);
  expect(waiting.every(({ rstCode }) => rstCode === constants.NGHTTP2_CANCEL)).toBe(true);
});

test("the server stops reading from a client that sends requests and takes no response", async () => {
  const slow = await connected({ settings: { initialWindowSize: 0 } });
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const stream = openCall(slow, { ":path": path, "grpc-timeout": "1m" });
  const ended = once(stream, "close");
  // ServerReflectionRequest.list_services
  const requests = Buffer.concat(Array.from({ length: 1000 }, () => frame(Buffer.from([0x3a, 0x01, 0x78]))));
  let writes = 0;
  const pour = (): void => {
    stream.write(requests, (error) => {
      if (error) return;
      writes++;
      pour();
    });
  };
  pour();
  await ended;
  // One flow-control window, and some buffers.
  expect(writes).toBeLessThan(18);
  await expectServed(session);
});

test.each([
  ["HTTP/1", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"],
  ["bytes that are not HTTP/2", "\0".repeat(100)],
])("%s ends its connection", async (_what, text) => {
  const port = Number(server.address.split(":").at(-1));
  const socket = connectSocket(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.resume();
  socket.write(text);
  await once(socket, "close");
  await expectServed(session);
});

test("a malformed frame ends its connection", async () => {
  const port = Number(server.address.split(":").at(-1));
  const socket = connectSocket(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.resume();
  // A preface, empty SETTINGS, then DATA on stream 0, which is a connection error (RFC 9113 §6.1).
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  const data = Buffer.from([0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff]);
  socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings, data]));
  await once(socket, "close");
  await expectServed(session);
});

test("a busy client gets GOAWAY when the listener closes: each of its calls was served, or never processed", async () => {
  let isOpen = true;
  session.once("goaway", () => {
    isOpen = false;
  });
  let answered = 0;
  const first = Promise.withResolvers<void>();
  const send = async () => {
    while (isOpen) {
      const stream = openCall(session);
      stream.end(frame(Buffer.from("m")));
      try {
        await answerOf(stream);
        answered++;
        first.resolve();
      } catch {
        // The client may send such a call again (RFC 9113 §8.7).
        expect(stream.rstCode).toBe(constants.NGHTTP2_REFUSED_STREAM);
      }
    }
  };
  const senders = Promise.all(Array.from({ length: 20 }, send));
  await first.promise;
  await server.close(10_000);
  await senders;
  expect(answered).toBe(received.length);
});
