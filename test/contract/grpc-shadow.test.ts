import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";
import { connect } from "node:tls";
import { Worker } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { decodeCheckResponse, encodeCheckRequest, RATE_LIMIT_METHOD } from "../../scripts/protobuf.ts";
import { checkMethod } from "../../src/ext-authz/method.ts";
import type { UnaryMethod } from "../../src/grpc/transport.ts";
import { MAX_MESSAGE_BYTES } from "../../src/grpc/transport.ts";
import { encodeFrame, FLAG, FRAME } from "../../src/http2/frames.ts";
import { shouldRateLimitMethod } from "../../src/ratelimit/method.ts";
import { encodeRateLimitResponse } from "../../src/ratelimit/response-encoder.ts";
import { createCa } from "../support/certificates.ts";
import { call, connectRaw, frame, openCall } from "../support/grpc-client.ts";
import type { ShadowedMethods, ShadowedServer } from "../support/grpc-shadow.ts";
import { shadowInThisThread, startShadowed } from "../support/grpc-shadow.ts";
import { checkOf, connectFrames, OPENING } from "../support/http2-frames.ts";
import { realCheck } from "../support/real-check.ts";

const SECRET = "header-value-that-no-log-may-contain";
const closes: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

async function shadowed(...of: Parameters<typeof startShadowed>): Promise<ShadowedServer> {
  const server = await startShadowed(...of);
  closes.push(server.stop);
  return server;
}

async function connected({ address }: Pick<ShadowedServer, "address">, options: object = {}) {
  const session = await connectRaw(address, options);
  closes.push(() => session.destroy());
  return session;
}

const request = (path: string, headers: object = {}) =>
  encodeCheckRequest({
    attributes: {
      source: { address: { socket_address: { address: "10.0.0.1" } }, certificate: "-" },
      request: { http: { method: "GET", path, host: "a", scheme: "https", headers } },
      context_extensions: { cost: "1" },
    },
  });

const observedCheck: ShadowedMethods = async (shadow) => {
  const { check } = await realCheck({ observer: shadow.responses });
  return [shadow.observe(checkMethod(check))];
};

/** `status.code` 7. */
const DENIAL = Buffer.from([0x0a, 0x02, 0x08, 0x07]);
const LATER: UnaryMethod = checkMethod(async () => DENIAL);

test("allowed, denied, large and undecodable Checks are equal on both servers, and calls of the Rate Limit Service", async () => {
  const limited = shouldRateLimitMethod(() =>
    encodeRateLimitResponse("over_limit", [{ code: "over_limit" }]),
  );
  const server = await shadowed(async (shadow) => [
    ...(await observedCheck(shadow)),
    shadow.observe(limited),
  ]);
  const session = await connected(server);
  const messages = [
    request("/v1/public/a"),
    request("/v1/chat", { authorization: `Bearer ${SECRET}`, "x-latchkey-role": "admin" }),
    request("/v1/chat", Object.fromEntries([["__proto__", "x"]])),
    request("/a?b=%2f#c"),
    request("/".padEnd(100_000, "x")),
    Buffer.from("GET / HTTP/1.1"),
    Buffer.alloc(0),
  ];
  for (let round = 0; round < 20; round++)
    await Promise.all(messages.map((message) => call(session, frame(message))));
  const rateLimit = RATE_LIMIT_METHOD.requestSerialize({
    domain: "d",
    descriptors: [{ entries: [{ key: "a", value: "b" }], hits_addend: { value: 3 } }, { entries: [] }],
    hits_addend: 7,
  });
  await call(session, frame(rateLimit), { ":path": RATE_LIMIT_METHOD.path });
  await server.counted("equal", messages.length * 20 + 1);
  expect(server.counts).toMatchObject({ request_differs: 0, response_differs: 0, skipped: 0, failed: 0 });
  expect(server.lines).toEqual([]);
});

test("large messages at the same time, over TLS, are equal", async () => {
  const ca = await createCa();
  const { cert, key } = await ca.issue("server");
  const tls = { current: () => ({ cert, key }), onChange: () => () => undefined };
  const server = await shadowed(observedCheck, {}, { tls });
  const [host = "", port] = server.address.split(":");
  const session = await connected(server, {
    createConnection: () => connect({ host, port: Number(port), ca: ca.cert, ALPNProtocols: ["h2"] }),
  });
  const messages = Array.from({ length: 40 }, (_, at) => request(`/${at}`.padEnd(200_000, "x")));
  await Promise.all(messages.map((message) => call(session, frame(message))));
  await server.counted("equal", messages.length);
  expect(server.counts).toMatchObject({ request_differs: 0, response_differs: 0, skipped: 0, failed: 0 });
});

test("acknowledgements of our server's PINGs do not reach the other server", async () => {
  const server = await shadowed(observedCheck);
  const { socket, send } = await connectFrames(server.address);
  closes.push(() => socket.destroy());
  await send(
    OPENING,
    encodeFrame(FRAME.PING, FLAG.ACK, 0, Buffer.alloc(8)),
    checkOf(1, "a"),
    checkOf(3, "b"),
  );
  await server.counted("equal", 2);
  expect(server.counts).toMatchObject({ request_differs: 0, response_differs: 0, skipped: 0, failed: 0 });
});

test("a response that says something else than was decided is counted and logged, without a value", async () => {
  const server = await shadowed(async (shadow) => {
    const { responses } = shadow;
    const { check } = await realCheck({
      observer: {
        ...responses,
        onResponse(bytes, response) {
          // The last byte is of a text in the metadata.
          bytes.set([0x78], bytes.length - 1);
          responses.onResponse(bytes, response);
        },
      },
    });
    return [shadow.observe(checkMethod(check))];
  });
  await call(await connected(server), frame(request("/v1/chat", { authorization: `Bearer ${SECRET}` })));
  await server.counted("response_differs", 1);
  expect(server.lines).toEqual([{ method: "Check", fields: ["dynamic_metadata"], unlogged: 0 }]);
});

/** A server whose shadow runs in this thread, so that the test decides when it judges. */
async function judged(methods: ShadowedMethods) {
  const { thread, sweep } = shadowInThisThread();
  const server = await shadowed(methods, { startThread: () => thread });
  return {
    server,
    session: await connected(server),
    async judge() {
      // More than enough for the other server to take what has arrived, and for every judgement.
      for (let sweeps = 0; sweeps < 2000; sweeps++) {
        sweep();
        await nextTurn();
      }
    },
  };
}

test("a message that our server assembles wrongly is counted as a difference", async () => {
  const { server, session, judge } = await judged(async (shadow) => {
    const [observed = LATER] = await observedCheck(shadow);
    return [
      { ...observed, handle: (message, ...rest) => observed.handle(message?.subarray(0, -1), ...rest) },
    ];
  });
  await call(session, frame(request("/v1/chat", { a: SECRET })));
  await judge();
  // One message that only our server received, and one that only the other received.
  expect(server.counts).toMatchObject({ equal: 0, request_differs: 2, failed: 0 });
  expect(server.lines).toEqual([{ method: "Check", fields: ["message"], unlogged: 0 }]);
});

test("a message that our server does not receive is counted as a difference", async () => {
  const { server, session, judge } = await judged(async (shadow) => {
    const [observed = LATER] = await observedCheck(shadow);
    let calls = 0;
    return [{ ...observed, handle: (...args) => (++calls === 2 ? DENIAL : observed.handle(...args)) }];
  });
  for (const path of ["/a", "/b", "/c"]) await call(session, frame(request(path)));
  await judge();
  expect(server.counts).toMatchObject({ equal: 2, request_differs: 1, failed: 0 });
});

test("a connection that grpc-js would close is counted once, if our server still serves it", async () => {
  const { server, judge } = await judged(observedCheck);
  const session = await connected(server, { maxSendHeaderBlockLength: 1_000_000 });
  await call(session, frame(request("/a")));
  const metadata = ["x-a", "x-b", "x-c", "x-d"].map((name): [string, string] => [name, "x".repeat(50_000)]);
  await call(session, frame(request("/b")), Object.fromEntries(metadata));
  for (const path of ["/c", "/d"]) await call(session, frame(request(path)));
  await judge();
  expect(server.counts).toMatchObject({ equal: 1, request_differs: 1, skipped: 2 });
  expect(server.lines).toEqual([{ method: "Check", fields: ["connection"], unlogged: 0 }]);
});

test("calls that end early, and calls that cannot be received, are no differences", async () => {
  const { server, session, judge } = await judged(observedCheck);
  for (let round = 0; round < 50; round++) {
    const stream = openCall(session);
    if (round % 2 === 0) stream.end(frame(request(`/${round}`)));
    else stream.write(frame(request(`/${round}`)).subarray(0, 20));
    stream.close(8);
    await once(stream, "close");
  }
  const unreceivable = [
    frame(Buffer.alloc(MAX_MESSAGE_BYTES + 1)),
    frame(request("/a"), 0, 3),
    Buffer.alloc(2),
  ];
  for (const bytes of unreceivable) await call(session, bytes);
  await call(session, frame(request("/last")));
  await judge();
  expect(server.counts).toMatchObject({ request_differs: 0, response_differs: 0, failed: 0 });
  expect(server.counts.equal).toBeGreaterThan(0);
  expect(server.counts.skipped).toBeGreaterThanOrEqual(unreceivable.length);
});

test("a client that closes its connection before its calls are decided causes no difference", async () => {
  const waiting: (() => void)[] = [];
  const { promise: left, resolve } = Promise.withResolvers<void>();
  const { server, session, judge } = await judged(async (shadow) => {
    const observed = shadow.observe(
      checkMethod(() => {
        const { promise, resolve: answer } = Promise.withResolvers<Buffer>();
        if (waiting.push(() => answer(DENIAL)) === 20) session.destroy();
        return promise;
      }),
    );
    return [
      {
        ...observed,
        handle(message, timeLeftMs, socket) {
          if (waiting.length === 0) socket?.once("close", resolve);
          return observed.handle(message, timeLeftMs, socket);
        },
      },
    ];
  });
  for (let at = 0; at < 20; at++) openCall(session).end(frame(Buffer.from(`not a CheckRequest ${at}`)));
  await left;
  for (const answer of waiting) answer();
  await server.counted("equal", 20);
  await judge();
  expect(server.counts).toMatchObject({ equal: 20, request_differs: 0, response_differs: 0, failed: 0 });
});

test.each([
  ["ends", "process.exit(3)"],
  ["throws", 'throw new Error("broken")'],
  ["does not respond", "for (;;);"],
  ["does not start", undefined],
])(
  "while the thread of the shadow %s, each Check has its response, and the shadow starts again",
  async (_what, code) => {
    let starts = 0;
    const { promise: restarted, resolve } = Promise.withResolvers<void>();
    const server = await shadowed(observedCheck, {
      checkEveryMs: 20,
      restartAfterMs: 50,
      startThread() {
        if (++starts === 2) resolve();
        if (starts === 1 && code === undefined) throw new Error("no thread is left");
        return new Worker(
          starts === 1 && code !== undefined
            ? code
            : "require('node:worker_threads').parentPort.on('message', () => {})",
          {
            eval: true,
          },
        );
      },
    });
    const session = await connected(server);
    const failed = server.counted("failed", 1);
    for (let calls = 0; calls < 20; calls++) {
      const { body } = await call(session, frame(request("/v1/chat")));
      expect(decodeCheckResponse(body.subarray(5)).status.code).toBeGreaterThan(0);
    }
    await failed;
    await restarted;
    // The connection is not compared any more: what came before the start is unknown.
    const { skipped } = server.counts;
    await call(session, frame(request("/v1/chat")));
    expect(server.counts.skipped).toBe(skipped + 1);
  },
);

test("a connection whose copy does not fit into the queue is not compared any more, and each Check has its response", async () => {
  const { thread } = shadowInThisThread();
  // A thread that processes nothing.
  thread.postMessage = () => undefined;
  const server = await shadowed(observedCheck, { startThread: () => thread, maxQueuedBytes: 100_000 });
  const session = await connected(server);
  const answers = await Promise.all(
    Array.from({ length: 500 }, (_, at) => call(session, frame(request(`/v1/chat/${at}`)))),
  );
  expect(answers.map(({ trailers }) => trailers?.["grpc-status"])).toEqual(answers.map(() => "0"));
  expect(server.counts.skipped).toBeGreaterThan(300);
});
