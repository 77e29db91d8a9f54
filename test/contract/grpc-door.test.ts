import { once } from "node:events";
import { mkdtemp, readFile, rename, stat, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ServiceError } from "@grpc/grpc-js";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { HEALTH_SERVICE } from "../../scripts/protobuf.ts";
import type { EnvoyServerOptions, GrpcServer } from "../../src/grpc/server.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { createCa } from "../support/certificates.ts";
import { CHECK_PATH, call, connectRaw, frame as grpcFrame } from "../support/grpc-client.ts";

const closes: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

const asItIs = (bytes: Buffer): Buffer => bytes;
const echo: EnvoyServerOptions["check"] = (message) => message ?? Buffer.from("unreadable");

async function newSocketPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-socket-"));
  removeAtEnd(folder);
  return join(folder, "grpc.sock");
}

/** What a killed process leaves behind. */
async function leaveStaleSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}.old`);
  await once(server, "listening");
  // Before the server's end removes it.
  await rename(`${path}.old`, path);
  server.close();
}

/** What a listener tells of its socket's file, one change after the other. */
function changesOf() {
  const [told, waiting]: [boolean[], ((isThere: boolean) => void)[]] = [[], []];
  return {
    tell(isThere: boolean) {
      const first = waiting.shift();
      if (first === undefined) told.push(isThere);
      else first(isThere);
    },
    next: () =>
      new Promise<boolean>((resolve) => {
        const first = told.shift();
        if (first === undefined) waiting.push(resolve);
        else resolve(first);
      }),
  };
}

describe.each(["http2", "grpc-js"] as const)("a gRPC client of %s", (transport) => {
  async function open(options: Partial<EnvoyServerOptions> = {}): Promise<GrpcServer> {
    const server = await startGrpcServer({ listen: "127.0.0.1:0", check: echo, transport, ...options });
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
      client.makeUnaryRequest(CHECK_PATH, asItIs, asItIs, message, new Metadata(), deadline, done);
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

  test("gets the bytes that Check gives, of messages of any size, many at once", async () => {
    const client = clientOf(await open());
    const messages = [0, 1, 1000, 70_000, 250_000].map((size) => Buffer.alloc(size, "m"));
    const answers = await Promise.all([...messages, ...messages].map((message) => check(client, message)));
    expect(answers.map((answer) => answer?.length)).toEqual([...messages, ...messages].map((m) => m.length));
    expect(answers[2]).toEqual(messages[2]);
  });

  test("is denied by a CheckResponse, not by an error, when its message is over 256 KiB", async () => {
    const client = clientOf(await open());
    for (const size of [262_145, 1_000_000, 9_000_000])
      expect(await check(client, Buffer.alloc(size))).toEqual(Buffer.from("unreadable"));
    expect(await check(client, Buffer.from("next"))).toEqual(Buffer.from("next"));
  });

  test("may send metadata of any bytes, and 60 KB of it", async () => {
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

  test("is answered by a Check that has to wait, and Check hears how long it may", async () => {
    const left: number[] = [];
    const server = await open({
      check: async (message, timeLeftMs) => {
        left.push(timeLeftMs);
        await pause(20);
        return message ?? Buffer.alloc(0);
      },
    });
    const client = clientOf(server);
    expect(await check(client, Buffer.from("slow"), 15_000)).toEqual(Buffer.from("slow"));
    expect(left[0]).toBeGreaterThan(0);
    expect(left[0]).toBeLessThanOrEqual(15_000);
  });

  test("may give up, and the next call is answered all the same", async () => {
    const { promise: never, resolve } = Promise.withResolvers<Buffer>();
    const [waits, goes] = [Buffer.of(0), Buffer.of(1)];
    const server = await open({ check: (message) => (message?.[0] === 0 ? never : Buffer.from("next")) });
    const client = clientOf(server);
    await expect(check(client, waits, 50)).rejects.toMatchObject({ code: 4 });
    expect(await check(client, goes)).toEqual(Buffer.from("next"));
    resolve(Buffer.from("too late"));
    expect(await check(client, goes)).toEqual(Buffer.from("next"));
  });

  test("is told of a method that there is not", async () => {
    const client = clientOf(await open());
    const asked = new Promise((resolve) => {
      client.makeUnaryRequest(
        "/envoy.service.auth.v3.Authorization/Nothing",
        asItIs,
        asItIs,
        Buffer.alloc(0),
        resolve,
      );
    });
    expect(await asked).toMatchObject({ code: 12 });
  });

  test("asks about health: NOT_SERVING, SERVING, and NOT_FOUND for a service that there is not", async () => {
    const server = await open();
    const client = clientOf(server);
    expect(await health(client, "")).toBe(2);
    server.setServing(true);
    expect(await health(client, "")).toBe(1);
    expect(await health(client, "envoy.service.auth.v3.Authorization")).toBe(1);
    await expect(health(client, "other")).rejects.toMatchObject({ code: 5 });
  });

  test("watches health until the door closes", async () => {
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

  test("has its open calls answered before the door is closed", async () => {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const asked = Promise.withResolvers<void>();
    const server = await open({
      check: () => {
        asked.resolve();
        return promise;
      },
    });
    const answer = check(clientOf(server), Buffer.alloc(1));
    await asked.promise;
    const closed = server.close(10_000);
    resolve(Buffer.from("the last one"));
    expect(await answer).toEqual(Buffer.from("the last one"));
    await closed;
  });

  test("is cut off when an open call does not end in the time that the door gives it", async () => {
    const asked = Promise.withResolvers<void>();
    const server = await open({
      check: () => {
        asked.resolve();
        return new Promise(() => undefined);
      },
    });
    const answer = check(clientOf(server), Buffer.alloc(1));
    answer.catch(() => undefined);
    await asked.promise;
    await server.close(50);
    await expect(answer).rejects.toMatchObject({ code: expect.toBeOneOf([1, 14]) });
  });

  test("comes by a Unix socket that only owner and group may use", async () => {
    const path = await newSocketPath();
    const server = await open({ listen: `unix:${path}` });
    expect((await stat(path)).mode & 0o777).toBe(0o660);
    expect(await check(clientOf(server), Buffer.from("here"))).toEqual(Buffer.from("here"));
  });

  test("finds the listener again when the file of its socket is removed, while older connections go on", async () => {
    const path = await newSocketPath();
    const changes = changesOf();
    const server = await open({ listen: `unix:${path}`, socketChanged: changes.tell });
    const before = clientOf(server);
    expect(await check(before, Buffer.from("one"))).toEqual(Buffer.from("one"));
    for (const what of ["removed", "removed again", "stale"]) {
      await unlink(path);
      if (what === "stale") await leaveStaleSocket(path);
      expect([await changes.next(), await changes.next()]).toEqual([false, true]);
      expect(server.isReachable()).toBe(true);
      expect((await stat(path)).mode & 0o777).toBe(0o660);
      // A client of its own: what an older one has is a connection already.
      const after = clientOf(server, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
      expect(await check(after, Buffer.from(what))).toEqual(Buffer.from(what));
      expect(await check(before, Buffer.from(what))).toEqual(Buffer.from(what));
    }
  });

  test("finds it again once the file that was put in its place has gone; until then it says that it is not there", async () => {
    const path = await newSocketPath();
    const changes = changesOf();
    const server = await open({ listen: `unix:${path}`, socketChanged: changes.tell });
    const others = createServer();
    closes.push(() => others.close());
    await unlink(path);
    await once(others.listen(path), "listening");
    expect([await changes.next(), server.isReachable()]).toEqual([false, false]);
    // What others listen on is left to them.
    await pause(1200);
    expect(server.isReachable()).toBe(false);
    others.close();
    await once(others, "close");
    expect(await changes.next()).toBe(true);
    await writeFile(`${path}.new`, "no socket");
    await rename(`${path}.new`, path);
    expect([await changes.next(), server.isReachable()]).toEqual([false, false]);
    expect(await readFile(path, "utf8")).toBe("no socket");
    await unlink(path);
    expect(await changes.next()).toBe(true);
    const client = clientOf(server);
    expect(await check(client, Buffer.from("here"))).toEqual(Buffer.from("here"));
  });

  test("comes by TLS, with a certificate of its own where the door wants one", async () => {
    const ca = await createCa();
    const [shown, own] = await Promise.all([ca.issue("door"), ca.issue("client")]);
    const tls = {
      current: () => ({ cert: shown.cert, key: shown.key, clientCa: ca.cert }),
      onChange: () => () => undefined,
    };
    const server = await open({ tls });
    const roots = Buffer.from(ca.cert);
    const known = credentials.createSsl(roots, Buffer.from(own.key), Buffer.from(own.cert));
    expect(await check(clientOf(server, known), Buffer.from("mine"))).toEqual(Buffer.from("mine"));
    const stranger = check(clientOf(server, credentials.createSsl(roots)), Buffer.alloc(1), 3000);
    await expect(stranger).rejects.toMatchObject({ code: expect.toBeOneOf([4, 14]) });
  });

  test("hears at once that an address is taken", async () => {
    const { address } = await open();
    await expect(startGrpcServer({ listen: address, check: echo, transport })).rejects.toThrow(
      `the gRPC door cannot listen on ${address}`,
    );
  });
});
