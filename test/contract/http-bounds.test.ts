import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { z } from "zod";
import type { Access } from "../../src/api/http/access.ts";
import { endpoint } from "../../src/api/http/endpoint.ts";
import type { HttpServer } from "../../src/api/http/server.ts";
import { startHttpServer } from "../../src/api/http/server.ts";
import type { HttpTimeouts } from "../../src/http1/node-server.ts";
import { DEFAULT_TIMEOUTS } from "../../src/http1/node-server.ts";

const SHORT_TIMEOUTS: HttpTimeouts = { headersMs: 150, requestMs: 300, idleMs: 150, handshakeMs: 150 };

const LARGE_BYTES = 1024 * 1024;
/** Admits every caller, so that the tests can send bodies without a credential. */
const anyCaller: Access<undefined> = {
  kind: "charged",
  security: "none",
  problems: [],
  admit: async () => ({ caller: undefined }),
};

let server: HttpServer | undefined;
/** Completes the call of `/slow`. */
let respond: () => void = () => undefined;
/** Resolves when a call of `/slow` has arrived. */
let called = Promise.withResolvers<void>();
let draining = false;

afterEach(async () => {
  await server?.close(0);
  server = undefined;
  draining = false;
});

async function open(patience: HttpTimeouts = DEFAULT_TIMEOUTS): Promise<number> {
  called = Promise.withResolvers();
  const common = { summary: "", access: anyCaller, writes: false } as const;
  const endpoints = [
    endpoint<undefined, unknown>({
      ...common,
      method: "POST",
      path: "/echo",
      body: z.unknown(),
      response: { status: 204, description: "" },
      handle: async ({ reply }) => reply.code(204).send(),
    }),
    endpoint({
      ...common,
      method: "GET",
      path: "/slow",
      response: { status: 204, description: "" },
      async handle({ reply }) {
        const completed = new Promise<void>((resolve) => {
          respond = resolve;
        });
        called.resolve();
        await completed;
        return reply.code(204).send();
      },
    }),
    endpoint({
      ...common,
      method: "GET",
      path: "/large",
      response: { status: 200, description: "" },
      handle: async ({ reply }) => reply.send("x".repeat(LARGE_BYTES)),
    }),
    endpoint({
      ...common,
      method: "GET",
      path: "/large-after-disconnect",
      response: { status: 200, description: "" },
      async handle({ reply }) {
        called.resolve();
        await once(reply.raw, "close");
        return reply.send("x".repeat(LARGE_BYTES));
      },
    }),
    endpoint({
      ...common,
      method: "GET",
      path: "/small",
      response: { status: 200, description: "" },
      handle: async ({ reply }) => reply.send("small"),
    }),
  ];
  const listen = { host: "127.0.0.1", port: 0 };
  server = await startHttpServer({
    listen,
    endpoints,
    onFault: () => undefined,
    timeouts: patience,
    isDraining: () => draining,
  });
  return Number(server.address.split(":").at(-1));
}

/** The number of established connections (state 01 in /proc) of the process that listens on this port. */
function establishedAt(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  return lines.filter(([, address, , state]) => address?.endsWith(local) && state === "01").length;
}

/** Everything that the listener sends until it closes the connection. */
async function readToEnd(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString("latin1");
  });
  // The listener may close while the client still sends. The test needs only the close.
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.on("close", resolve));
  return text;
}

test("headers above 16 KiB get 431, and the connection is closed", async () => {
  const socket = connect(await open(), "127.0.0.1");
  socket.write(`GET /slow HTTP/1.1\r\nhost: x\r\nx-long: ${"a".repeat(17_000)}\r\n\r\n`);
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 431 /);
});

test("a body above 16 KiB gets 413", async () => {
  const port = await open();
  const request = httpRequest({
    port,
    method: "POST",
    path: "/echo",
    headers: { "content-type": "application/json" },
  });
  request.on("error", () => undefined).end(JSON.stringify({ a: "x".repeat(17_000) }));
  const [response] = await once(request, "response");
  expect(response.statusCode).toBe(413);
});

test.each([
  ["headers", "GET /slow HTTP/1.1\r\nhost: x\r\n"],
  [
    "a body",
    "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
  ],
])("a client that sends %s byte by byte is cut off after the timeout", async (_what, start) => {
  const socket = connect(await open(SHORT_TIMEOUTS), "127.0.0.1");
  socket.write(start);
  const drip = setInterval(() => socket.write("a"), 20);
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 408 /);
  clearInterval(drip);
});

test("an idle connection is closed", async () => {
  const socket = connect(await open(SHORT_TIMEOUTS), "127.0.0.1");
  socket.write("GET /none HTTP/1.1\r\nhost: x\r\n\r\n");
  const received = await readToEnd(socket);
  expect(received).toMatch(/^HTTP\/1.1 404 /);
  expect(received.toLowerCase()).toContain("connection: keep-alive");
});

test("a draining listener responds with connection: close", async () => {
  const socket = connect(await open(), "127.0.0.1");
  socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
  await called.promise;
  respond();
  const [firstBytes] = await once(socket, "data");
  expect(String(firstBytes)).toMatch(/^HTTP\/1.1 204 .*connection: keep-alive/is);
  draining = true;
  called = Promise.withResolvers();
  socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
  await called.promise;
  const closed = server?.close(5000);
  respond();
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 204 .*connection: close/is);
  await closed;
});

test("a call that does not complete is cut off after the grace period", async () => {
  const socket = connect(await open(), "127.0.0.1");
  socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
  await called.promise;
  await Promise.all([server?.close(50), readToEnd(socket)]);
  respond();
  await pause(0);
});

test("clients that pipeline and never read occupy bounded memory, and other clients are served", async () => {
  const port = await open();
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
  const before = process.memoryUsage().rss;
  const greedy = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const socket = connect(port, "127.0.0.1").pause();
      socket.on("error", () => undefined);
      await once(socket, "connect");
      socket.write(get("/large").repeat(16));
      return socket;
    }),
  );
  // Once this call is served, the earlier requests have been served or their connections closed.
  expect((await fetch(`http://127.0.0.1:${port}/small`)).status).toBe(200);
  expect(process.memoryUsage().rss - before).toBeLessThan(300 * LARGE_BYTES);
  const last = greedy.at(-1);
  if (last === undefined) throw new Error("no connection");
  const received = readToEnd(last);
  last.end().resume();
  expect(await received).toMatch(/HTTP\/1\.1 503 .*"type":"\/problems\/too-many-unread-responses"/s);
  for (const socket of greedy) socket.destroy();
  await expect.poll(async () => (await fetch(`http://127.0.0.1:${port}/large`)).status).toBe(200);
});

test("a response that is ready after its client has disconnected does not count as unread", async () => {
  const port = await open();
  for (let call = 0; call < 40; call++) {
    called = Promise.withResolvers();
    const socket = connect(port, "127.0.0.1");
    socket.write("GET /large-after-disconnect HTTP/1.1\r\nhost: x\r\n\r\n");
    await called.promise;
    socket.destroy();
  }
  await expect.poll(() => establishedAt(port)).toBe(0);
  expect((await fetch(`http://127.0.0.1:${port}/large`)).status).toBe(200);
});

test("a connection with more than 16 unanswered pipelined requests is closed", async () => {
  const socket = connect(await open(), "127.0.0.1");
  socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n".repeat(17));
  expect(await readToEnd(socket)).toBe("");
});

test("a connection whose client does not read its response is closed after the timeout", async () => {
  const port = await open(SHORT_TIMEOUTS);
  const socket = connect(port, "127.0.0.1").pause();
  socket.on("error", () => undefined);
  await once(socket, "connect");
  expect(establishedAt(port)).toBe(1);
  socket.write("GET /large HTTP/1.1\r\nhost: x\r\n\r\n".repeat(8));
  await expect.poll(() => establishedAt(port)).toBe(0);
  socket.destroy();
});

test("a call that takes longer than the timeout keeps its connection, and is answered", async () => {
  const socket = connect(await open(SHORT_TIMEOUTS), "127.0.0.1");
  socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
  await called.promise;
  const response = readToEnd(socket);
  // Nothing tells that a connection has outlasted its timeout.
  await pause(2.5 * SHORT_TIMEOUTS.requestMs);
  respond();
  expect(await response).toMatch(/^HTTP\/1.1 204 /);
});
