import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import type { Socket } from "node:net";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HEALTH_SERVICE } from "../../scripts/protobuf.ts";
import { removeAtEnd } from "../../test/support/at-end.ts";
import { echo } from "../../test/support/echo-door.ts";
import { frame as grpcFrame } from "../../test/support/grpc-client.ts";
import type { FrameConnection } from "../../test/support/http2-frames.ts";
import { connectFrames, data, HEAD, headers, OPENING, settings } from "../../test/support/http2-frames.ts";
import type { Health } from "../grpc/health.ts";
import { createHealth } from "../grpc/health.ts";
import { startHttp2Transport } from "../grpc/http2-transport.ts";
import type { Transport } from "../grpc/transport.ts";
import { encodeFrame, encodeUint32s, FLAG, FRAME, SETTING } from "./frames.ts";
import { headerBlock } from "./header-encoder.ts";

let address: string;
let server: Transport;
let watching: number;
const faults: unknown[] = [];
const open: FrameConnection[] = [];

beforeEach(async () => {
  watching = 0;
  const folder = mkdtempSync(join(tmpdir(), "latchkey-bounds-"));
  removeAtEnd(folder);
  address = `unix:${join(folder, "grpc.sock")}`;
  server = await startHttp2Transport({
    listen: address,
    check: echo,
    health: countWatches(createHealth()),
    faulted: (error) => faults.push(error),
  });
});

afterEach(async () => {
  for (const { socket } of open.splice(0)) socket.destroy();
  await server.close(0);
  expect(faults).toEqual([]);
});

function countWatches(health: Health): Health {
  return {
    ...health,
    watch(service, watcher) {
      watching++;
      const unwatch = health.watch(service, watcher);
      return () => {
        watching--;
        unwatch();
      };
    },
  };
}

/** Connections, each of which begins with these bytes. */
async function connections(count: number, ...bytes: readonly Uint8Array[]): Promise<FrameConnection[]> {
  const made: FrameConnection[] = [];
  for (let index = 0; index < count; index++) {
    const connection = await connectFrames(address);
    open.push(connection);
    made.push(connection);
    await connection.send(OPENING, ...bytes);
  }
  return made;
}

/** An honest caller, whose Check is split, is answered what it asked. */
async function expectServed(): Promise<void> {
  const [honest] = await connections(1);
  const message = grpcFrame(Buffer.from("honest"));
  await honest?.send(headers(1), data(1, message.subarray(0, 7)));
  await ponged(honest);
  await honest?.send(data(1, message.subarray(7), FLAG.END_STREAM));
  await honest?.until(/^1 /);
  expect(honest?.lines.at(-1)).toBe("1 answered: honest");
}

async function ponged(connection: FrameConnection | undefined): Promise<void> {
  const payload = Buffer.from("settled!");
  await connection?.send(encodeFrame(FRAME.PING, 0, 0, payload));
  await connection?.until(`PING ACK ${payload.toString("hex")}`);
}

const ids = (count: number) => Array.from({ length: count }, (_, index) => 2 * index + 1);
const block = headerBlock(HEAD);
const head = (id: number, bytes = block) => encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, id, bytes);
const SHUT = settings([SETTING.INITIAL_WINDOW_SIZE, 0]);
const linesOf = (all: readonly FrameConnection[], pattern: RegExp) =>
  all.flatMap(({ lines }) => lines.filter((line) => pattern.test(line)));

test("half-sent messages of all connections have one bound: the oldest are denied, and a Check that is split is answered", async () => {
  const piece = Buffer.alloc(15_000);
  const halfSent = ids(60).flatMap((id) => [head(id), ...Array.from({ length: 4 }, () => data(id, piece))]);
  const liars = await connections(24, ...halfSent);
  await expectServed();
  const denied = liars.map(({ lines }) => lines.filter((line) => line.includes("denied")).length);
  expect(denied[0]).toBe(60);
  expect(denied.at(-1)).toBe(0);
});

test("on one connection, the largest half-sent messages are denied first: a smaller Check that is split is answered", async () => {
  const piece = Buffer.alloc(15_000);
  const large = ids(300).flatMap((id) => [head(id), ...Array.from({ length: 4 }, () => data(id, piece))]);
  const [connection] = await connections(1, ...large);
  const message = grpcFrame(Buffer.from("smaller".repeat(3000)));
  for (const id of [601, 603, 605]) {
    await connection?.send(head(id), data(id, message.subarray(0, 12_000)));
    await ponged(connection);
    await connection?.send(data(id, message.subarray(12_000), FLAG.END_STREAM));
    await connection?.until(`${id} answered: ${message.length - 5} bytes`);
  }
  expect(connection?.lines.filter((line) => line.includes("bytes"))).toHaveLength(3);
  const denied = linesOf(connection === undefined ? [] : [connection], /^\d+ answered: denied$/);
  expect(60_000 * (300 - denied.length)).toBeLessThanOrEqual(16 * 1024 * 1024);
  expect(60_000 * (300 - denied.length + 2)).toBeGreaterThan(16 * 1024 * 1024);
});

test("answers for which callers open no window have one bound: the oldest are cut off, and a Check is answered", async () => {
  const checks = ids(900).map((id) =>
    Buffer.concat([head(id), data(id, grpcFrame(Buffer.alloc(4000)), FLAG.END_STREAM)]),
  );
  const greedy = await connections(12, SHUT, ...checks);
  await Promise.all(greedy.map(ponged));
  await expectServed();
  const cut = linesOf(greedy, /^RST_STREAM \d+ ENHANCE_YOUR_CALM$/).length;
  expect(4005 * (12 * 900 - cut)).toBeLessThanOrEqual(32 * 1024 * 1024);
  expect(4005 * (12 * 900 - cut + 1)).toBeGreaterThan(32 * 1024 * 1024);
  expect(greedy[0]?.lines).toContain("RST_STREAM 1 ENHANCE_YOUR_CALM");
});

test("what callers do not read has one bound: the connection that has not read for longest ends, and a Check is answered", async () => {
  const wide = [
    settings([SETTING.INITIAL_WINDOW_SIZE, 2 ** 30]),
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(2 ** 30)),
  ];
  const checks = ids(110).map((id) =>
    Buffer.concat([head(id), data(id, grpcFrame(Buffer.alloc(16_000)), FLAG.END_STREAM)]),
  );
  const deaf: FrameConnection[] = [];
  for (let count = 0; count < 80; count++) {
    const [connection] = await connections(1, ...wide);
    if (connection === undefined) throw new Error("no connection");
    connection.socket.pause();
    void connection.send(...checks);
    deaf.push(connection);
  }
  await expectServed();
  deaf[0]?.socket.resume();
  await deaf[0]?.closed;
  expect(linesOf(deaf.slice(0, 1), /answered/).length).toBeLessThan(110);
  deaf.at(-1)?.socket.resume();
  await deaf.at(-1)?.until("219 answered: 16000 bytes");
});

test("calls that are half-sent have one bound: the connection with most of them ends, and a Check is answered", async () => {
  const heads = ids(1000).map((id) => head(id));
  const few = await connections(1, ...heads.slice(0, 100));
  const many = await connections(17, ...heads);
  await expectServed();
  expect(linesOf(many, /^GOAWAY \d+ ENHANCE_YOUR_CALM$/).length).toBeGreaterThan(0);
  expect(linesOf(few, /^GOAWAY/)).toEqual([]);
});

const WATCH = headerBlock(HEAD.with(2, [":path", HEALTH_SERVICE.Watch.path]));
const watch = (id: number) =>
  Buffer.concat([head(id, WATCH), data(id, grpcFrame(Buffer.alloc(0)), FLAG.END_STREAM)]);

test("of watches a connection has 64, and all together 1,024: the newest is refused, and a Check is answered", async () => {
  const all = await connections(18, ...ids(80).map(watch));
  await Promise.all(all.map(ponged));
  expect(watching).toBe(1024);
  expect(all.map(({ lines }) => lines.filter((line) => line.endsWith("refused: 200, 8")).length)).toEqual([
    ...Array.from({ length: 16 }, () => 16),
    80,
    80,
  ]);
  await expectServed();
  for (const { socket } of all) socket.destroy();
  await expect.poll(() => watching).toBe(0);
  const [again] = await connections(1, watch(1));
  await ponged(again);
  expect(watching).toBe(1);
});

test("a watch whose stream ends with its first notification is not kept", async () => {
  // A thousand answers fill what may wait for a connection up to 3 bytes, and a notification has 7.
  const sizes = [...Array.from({ length: 1000 }, () => 4194), 301];
  const checks = sizes.map((size, index) => {
    const message = grpcFrame(Buffer.alloc(size - 5));
    return Buffer.concat([head(2 * index + 1), data(2 * index + 1, message, FLAG.END_STREAM)]);
  });
  const [greedy] = await connections(1, SHUT, ...checks, watch(2003));
  await ponged(greedy);
  expect(greedy?.lines).toContain("RST_STREAM 2003 ENHANCE_YOUR_CALM");
  expect(watching).toBe(0);
});

const REFLECT = headerBlock(
  HEAD.with(2, [":path", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"]),
);
/** ServerReflectionRequest.file_by_filename */
const QUESTION = grpcFrame(Buffer.concat([Buffer.from([0x1a, 15]), Buffer.from("ext_authz.proto")]));

test("a hundred connections with a thousand reflection calls each, of which none is read, get 64 of them in all", async () => {
  const calls = ids(1000).map((id) =>
    Buffer.concat([head(id, REFLECT), data(id, QUESTION, FLAG.END_STREAM)]),
  );
  const all = await connections(100, SHUT, ...calls);
  await Promise.all(all.map(ponged));
  // On a busy machine some have been cut off by then, since their time was over, and others have had their places.
  const cutOff = linesOf(all, /^RST_STREAM \d+ CANCEL$/).length;
  expect(100_000 - linesOf(all, /refused: 200, 8$/).length - cutOff).toBeLessThanOrEqual(64);
  await expectServed();
});

test("connections that say nothing make way: with all 1,024 places taken by them, a caller is served", async () => {
  const silent: Socket[] = [];
  for (let count = 0; count < 1024; count++) {
    // Callers have 100 ms to say something before one of them makes way for the last.
    if (count === 1023) await pause(150);
    const socket = connect({ path: address.slice("unix:".length) }).on("error", () => undefined);
    silent.push(socket);
    await once(socket, "data");
  }
  for (let callers = 0; callers < 10; callers++) await expectServed();
  for (const socket of silent) socket.destroy();
});
