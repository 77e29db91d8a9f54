import { once } from "node:events";
import { mkdtemp, readFile, rename, stat, unlink } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ServiceError } from "@grpc/grpc-js";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { HEALTH_SERVICE } from "../../scripts/protobuf.ts";
import type { Check } from "../../src/ext-authz/check.ts";
import { checkMethod } from "../../src/ext-authz/method.ts";
import type { GrpcServer, GrpcServerOptions } from "../../src/grpc/server.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { createCa } from "../support/certificates.ts";
import { CHECK_PATH, call, connectRaw, frame as grpcFrame } from "../support/grpc-client.ts";
import { replaceFile } from "../support/replace-file.ts";

const closes: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

const identity = (bytes: Buffer): Buffer => bytes;
const echo: Check = (message) => message ?? Buffer.from("unreadable");

async function newSocketPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-socket-"));
  removeAtEnd(folder);
  return join(folder, "grpc.sock");
}

/** Leaves a socket file as a killed process does. */
async function leaveStaleSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}.old`);
  await once(server, "listening");
  // Renamed because closing the server removes its own path.
  await rename(`${path}.old`, path);
  server.close();
}

/** Collects the notifications about a socket file, one change after the other. */
function changesOf() {
  const changes: boolean[] = [];
  const waiting: ((isReachable: boolean) => void)[] = [];
  return {
    onReachable(isReachable: boolean) {
      const first = waiting.shift();
      if (first === undefined) changes.push(isReachable);
      else first(isReachable);
    },
    next: () =>
      new Promise<boolean>((resolve) => {
        const first = changes.shift();
        if (first === undefined) waiting.push(resolve);
        else resolve(first);
      }),
  };
}

describe.each(["http2", "grpc-js"] as const)("a gRPC client of %s", (transport) => {
  async function open(options: Partial<GrpcServerOptions> = {}): Promise<GrpcServer> {
    const server = await startGrpcServer({
      listen: "127.0.0.1:0",
      methods: [checkMethod(echo)],
      transport,
      ...options,
    });
    closes.push(() => server.close(0));
    return server;
  }

  function clientOf(server: GrpcServer, creds = credentials.createInsecure(), options: object = {}): Client {
    const client = new Client(server.address, creds, options);
    closes.push(() => client.close());
    return client;
  }

  function check(client: Client, message: Buffer, deadlineMs = 20_000): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      const deadline = { deadline: Date.now() + deadlineMs };
      const done = (error: ServiceError | null, answer?: Buffer) => (error ? reject(error) : resolve(answer));
      client.makeUnaryRequest(CHECK_PATH, identity, identity, message, new Metadata(), deadline, done);
    });
  }

  function health(client: Client, service: string): Promise<number | undefined> {
    const { path, requestSerialize, responseDeserialize } = HEALTH_SERVICE.Check;
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, answer) =>
        error ? reject(error) : resolve(answer?.status),
      );
    });
  }

  function watch(client: Client, service: string) {
    const { path, requestSerialize, responseDeserialize } = HEALTH_SERVICE.Watch;
    const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service });
    stream.on("error", () => undefined);
    return stream;
  }

  test("gets the response bytes of Check, for messages of any size, and for many at once", async () => {
    const client = clientOf(await open());
    const messages = [0, 1, 1000, 70_000, 250_000].map((size) => Buffer.alloc(size, "m"));
    const answers = await Promise.all([...messages, ...messages].map((message) => check(client, message)));
    expect(answers.map((answer) => answer?.length)).toEqual([...messages, ...messages].map((m) => m.length));
    expect(answers[2]).toEqual(messages[2]);
  });

  test("gets a CheckResponse that denies, not an error, if its message is over 256 KiB", async () => {
    const client = clientOf(await open());
    for (const size of [262_145, 1_000_000, 9_000_000])
      expect(await check(client, Buffer.alloc(size))).toEqual(Buffer.from("unreadable"));
    expect(await check(client, Buffer.from("next"))).toEqual(Buffer.from("next"));
  });

  test("may send metadata of any bytes, up to 60 KB", async () => {
    const session = await connectRaw((await open()).address);
    closes.push(() => session.destroy());
    const values = [
      "a ",
      "a\t",
      " a",
      "\u00ff\u0080",
      "x".repeat(17_000),
      "x".repeat(40_000),
      "x".repeat(60_000),
    ];
    for (const tracestate of values) {
      const { body } = await call(session, grpcFrame(Buffer.from("traced")), { tracestate });
      expect(body).toEqual(grpcFrame(Buffer.from("traced")));
    }
  });

  test("gets the response of a Check that waits, and Check receives the time that is left", async () => {
    const left: number[] = [];
    const server = await open({
      methods: [
        checkMethod(async (message, timeLeftMs) => {
          left.push(timeLeftMs);
          await pause(20);
          return message ?? Buffer.alloc(0);
        }),
      ],
    });
    const client = clientOf(server);
    expect(await check(client, Buffer.from("slow"), 15_000)).toEqual(Buffer.from("slow"));
    expect(left[0]).toBeGreaterThan(0);
    expect(left[0]).toBeLessThanOrEqual(15_000);
  });

  test("may cancel a call, and the next call is served", async () => {
    const { promise: never, resolve } = Promise.withResolvers<Buffer>();
    const [waits, goes] = [Buffer.of(0), Buffer.of(1)];
    const server = await open({
      methods: [checkMethod((message) => (message?.[0] === 0 ? never : Buffer.from("next")))],
    });
    const client = clientOf(server);
    await expect(check(client, waits, 50)).rejects.toMatchObject({ code: 4 });
    expect(await check(client, goes)).toEqual(Buffer.from("next"));
    resolve(Buffer.from("too late"));
    expect(await check(client, goes)).toEqual(Buffer.from("next"));
  });

  test("gets UNIMPLEMENTED for an unknown method", async () => {
    const client = clientOf(await open());
    const error = new Promise((resolve) => {
      client.makeUnaryRequest(
        "/envoy.service.auth.v3.Authorization/Nothing",
        identity,
        identity,
        Buffer.alloc(0),
        resolve,
      );
    });
    expect(await error).toMatchObject({ code: 12 });
  });

  test("gets a status if a message cannot be received by a method that does not handle invalid calls", async () => {
    const methods = [{ path: "/test.Echo/Echo", handle: echo, handlesInvalid: false }];
    const client = clientOf(await open({ methods }));
    const send = (bytes: number) =>
      new Promise((resolve) => {
        const done = (error: ServiceError | null, message?: Buffer) =>
          resolve(error?.code ?? message?.length);
        client.makeUnaryRequest("/test.Echo/Echo", identity, identity, Buffer.alloc(bytes), done);
      });
    expect(await send(262_144)).toBe(262_144);
    expect(await send(262_145)).toBe(8);
    expect(await health(client, "test.Echo")).toBe(2);
  });

  test("gets the health status: NOT_SERVING, SERVING, and NOT_FOUND for an unknown service", async () => {
    const server = await open();
    const client = clientOf(server);
    expect(await health(client, "")).toBe(2);
    server.setServing(true);
    expect(await health(client, "")).toBe(1);
    expect(await health(client, "envoy.service.auth.v3.Authorization")).toBe(1);
    await expect(health(client, "other")).rejects.toMatchObject({ code: 5 });
  });

  test("watches health until the listener closes", async () => {
    const server = await open();
    const stream = watch(clientOf(server), "");
    const seen: unknown[] = [];
    for (const serving of [undefined, true, false]) {
      if (serving !== undefined) server.setServing(serving);
      seen.push(...(await once(stream, "data")));
    }
    expect(seen).toEqual([{ status: 2 }, { status: 1 }, { status: 2 }]);
    const ended = once(stream, "status");
    await server.close(5000);
    expect(await ended).toMatchObject([{ code: 0 }]);
  });

  test("gets the responses of open calls before the listener closes", async () => {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const received = Promise.withResolvers<void>();
    const server = await open({
      methods: [
        checkMethod(() => {
          received.resolve();
          return promise;
        }),
      ],
    });
    const answer = check(clientOf(server), Buffer.alloc(1));
    await received.promise;
    const closed = server.close(10_000);
    resolve(Buffer.from("the last one"));
    expect(await answer).toEqual(Buffer.from("the last one"));
    await closed;
  });

  test("loses its connection if an open call does not end within the grace period", async () => {
    const received = Promise.withResolvers<void>();
    const server = await open({
      methods: [
        checkMethod(() => {
          received.resolve();
          return new Promise(() => undefined);
        }),
      ],
    });
    const answer = check(clientOf(server), Buffer.alloc(1));
    answer.catch(() => undefined);
    await received.promise;
    await server.close(50);
    await expect(answer).rejects.toMatchObject({ code: expect.toBeOneOf([1, 14]) });
  });

  test("connects to a Unix socket that only the owner and its group may use", async () => {
    const path = await newSocketPath();
    const server = await open({ listen: `unix:${path}` });
    expect((await stat(path)).mode & 0o777).toBe(0o660);
    expect(await check(clientOf(server), Buffer.from("here"))).toEqual(Buffer.from("here"));
  });

  test("can connect again after the socket file was removed, while older connections continue", async () => {
    const path = await newSocketPath();
    const changes = changesOf();
    const server = await open({ listen: `unix:${path}`, onReachable: changes.onReachable });
    const before = clientOf(server);
    expect(await check(before, Buffer.from("one"))).toEqual(Buffer.from("one"));
    for (const change of ["removed", "removed again", "stale"]) {
      await unlink(path);
      if (change === "stale") await leaveStaleSocket(path);
      expect([await changes.next(), await changes.next()]).toEqual([false, true]);
      expect(server.isReachable()).toBe(true);
      expect((await stat(path)).mode & 0o777).toBe(0o660);
      // A new client, because the older one has a connection already.
      const after = clientOf(server, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
      expect(await check(after, Buffer.from(change))).toEqual(Buffer.from(change));
      expect(await check(before, Buffer.from(change))).toEqual(Buffer.from(change));
    }
  });

  test("can connect again after a file in place of the socket is removed, and the listener is not reachable until then", async () => {
    const path = await newSocketPath();
    const changes = changesOf();
    const server = await open({ listen: `unix:${path}`, onReachable: changes.onReachable });
    const others = createServer();
    closes.push(() => others.close());
    await unlink(path);
    await once(others.listen(path), "listening");
    expect([await changes.next(), server.isReachable()]).toEqual([false, false]);
    // A socket on which another process listens is not touched.
    await pause(1200);
    expect(server.isReachable()).toBe(false);
    others.close();
    await once(others, "close");
    expect(await changes.next()).toBe(true);
    await replaceFile(path, "no socket");
    expect([await changes.next(), server.isReachable()]).toEqual([false, false]);
    expect(await readFile(path, "utf8")).toBe("no socket");
    await unlink(path);
    expect(await changes.next()).toBe(true);
    const client = clientOf(server);
    expect(await check(client, Buffer.from("here"))).toEqual(Buffer.from("here"));
  });

  test("connects over TLS, with a client certificate if the listener requires one", async () => {
    const ca = await createCa();
    const [server, client] = await Promise.all([ca.issue("server"), ca.issue("client")]);
    const tls = {
      current: () => ({ cert: server.cert, key: server.key, clientCa: ca.cert }),
      onChange: () => () => undefined,
    };
    const listener = await open({ tls });
    const roots = Buffer.from(ca.cert);
    const known = credentials.createSsl(roots, Buffer.from(client.key), Buffer.from(client.cert));
    expect(await check(clientOf(listener, known), Buffer.from("mine"))).toEqual(Buffer.from("mine"));
    const anonymous = check(clientOf(listener, credentials.createSsl(roots)), Buffer.alloc(1), 3000);
    await expect(anonymous).rejects.toMatchObject({ code: expect.toBeOneOf([4, 14]) });
  });

  test("gets no listener at an address that is in use: the start fails", async () => {
    const { address } = await open();
    await expect(startGrpcServer({ listen: address, methods: [], transport })).rejects.toThrow(
      `the gRPC listener cannot listen on ${address}`,
    );
  });
});
