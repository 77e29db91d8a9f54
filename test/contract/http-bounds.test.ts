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
import type { HttpTimeouts } from "../../src/api/http/node-server.ts";
import { DEFAULT_TIMEOUTS } from "../../src/api/http/node-server.ts";
import type { HttpServer } from "../../src/api/http/server.ts";
import { startHttpServer } from "../../src/api/http/server.ts";

const NOBODY_WAITS: HttpTimeouts = { headersMs: 150, requestMs: 300, idleMs: 150, handshakeMs: 150 };

const LARGE_BYTES = 1024 * 1024;
/** A body may come from anyone here. */
const everyone: Access<undefined> = {
  kind: "charged",
  security: "none",
  problems: [],
  admit: async () => ({ caller: undefined }),
};

let server: HttpServer | undefined;
/** Ends the call of `/slow`. */
let answer: () => void = () => undefined;
/** Resolves when a call of `/slow` has come. */
let called = Promise.withResolvers<void>();
let goesSoon = false;

afterEach(async () => {
  await server?.close(0);
  server = undefined;
  goesSoon = false;
});

async function open(patience: HttpTimeouts = DEFAULT_TIMEOUTS): Promise<number> {
  called = Promise.withResolvers();
  const common = { summary: "", access: everyone, writes: false } as const;
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
        const answered = new Promise<void>((resolve) => {
          answer = resolve;
        });
        called.resolve();
        await answered;
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
      path: "/large-for-nobody",
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
    isDraining: () => goesSoon,
  });
  return Number(server.address.split(":").at(-1));
}

/** Connections that the process which listens at this port has open, as the kernel sees them (state 01). */
function establishedAt(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  return lines.filter(([, address, , state]) => address?.endsWith(local) && state === "01").length;
}

/** Everything that the door says until it closes the connection. */
async function heard(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString("latin1");
  });
  // A door may close on a client that still sends; what counts is that it closes.
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.on("close", resolve));
  return text;
}

test("headers above 16 KiB are 431, and the connection ends", async () => {
  const socket = connect(await open(), "127.0.0.1");
  socket.write(`GET /slow HTTP/1.1\r\nhost: x\r\nx-long: ${"a".repeat(17_000)}\r\n\r\n`);
  expect(await heard(socket)).toMatch(/^HTTP\/1.1 431 /);
});

test("a body above 16 KiB is 413", async () => {
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
])("a client that sends %s byte by byte is not waited for, however long it goes on", async (_what, start) => {
  const socket = connect(await open(NOBODY_WAITS), "127.0.0.1");
  socket.write(start);
  const drip = setInterval(() => socket.write("a"), 20);
  expect(await heard(socket)).toMatch(/^HTTP\/1.1 408 /);
  clearInterval(drip);
});

test("a connection on which nothing more comes is closed", async () => {
  const socket = connect(await open(NOBODY_WAITS), "127.0.0.1");
  socket.write("GET /none HTTP/1.1\r\nhost: x\r\n\r\n");
  const said = await heard(socket);
  expect(said).toMatch(/^HTTP\/1.1 404 /);
  expect(said.toLowerCase()).toContain("connection: keep-alive");
});

test("a door that is about to close answers, and says that this was the last on its connection", async () => {
  const socket = connect(await open(), "127.0.0.1");
  socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
  await called.promise;
  answer();
  const [first] = await once(socket, "data");
  expect(String(first)).toMatch(/^HTTP\/1.1 204 .*connection: keep-alive/is);
  goesSoon = true;
  called = Promise.withResolvers();
  socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
  await called.promise;
  const closed = server?.close(5000);
  answer();
  expect(await heard(socket)).toMatch(/^HTTP\/1.1 204 .*connection: close/is);
  await closed;
});

test("a call that does not end is cut off when its time is over", async () => {
  const socket = connect(await open(), "127.0.0.1");
  socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
  await called.promise;
  await Promise.all([server?.close(50), heard(socket)]);
  answer();
  await pause(0);
});

test("clients that pipeline and never read hold a bounded number of bytes, and others are served", async () => {
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
  // All that they sent before this has been served, or they have been ended.
  expect((await fetch(`http://127.0.0.1:${port}/small`)).status).toBe(200);
  expect(process.memoryUsage().rss - before).toBeLessThan(300 * LARGE_BYTES);
  const last = greedy.at(-1);
  if (last === undefined) throw new Error("no connection");
  const answered = heard(last);
  last.end().resume();
  expect(await answered).toMatch(/HTTP\/1\.1 503 .*"type":"\/problems\/too-many-unread-responses"/s);
  for (const socket of greedy) socket.destroy();
  await expect.poll(async () => (await fetch(`http://127.0.0.1:${port}/large`)).status).toBe(200);
});

test("a response that is ready only once its client has gone counts as taken", async () => {
  const port = await open();
  for (let call = 0; call < 40; call++) {
    called = Promise.withResolvers();
    const socket = connect(port, "127.0.0.1");
    socket.write("GET /large-for-nobody HTTP/1.1\r\nhost: x\r\n\r\n");
    await called.promise;
    socket.destroy();
  }
  await expect.poll(() => establishedAt(port)).toBe(0);
  expect((await fetch(`http://127.0.0.1:${port}/large`)).status).toBe(200);
});

test("a connection with more than 16 requests whose responses are not taken is ended", async () => {
  const socket = connect(await open(), "127.0.0.1");
  socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n".repeat(17));
  expect(await heard(socket)).toBe("");
});

test("a client that does not read its response is ended when its time is over", async () => {
  const port = await open(NOBODY_WAITS);
  const socket = connect(port, "127.0.0.1").pause();
  socket.on("error", () => undefined);
  await once(socket, "connect");
  expect(establishedAt(port)).toBe(1);
  socket.write("GET /large HTTP/1.1\r\nhost: x\r\n\r\n".repeat(8));
  await expect.poll(() => establishedAt(port), { timeout: 20_000 }).toBe(0);
  socket.destroy();
});
