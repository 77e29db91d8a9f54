import { beforeEach, expect, test } from "vitest";
import { checkOf, headers, OPENING, SETTINGS } from "../../test/support/http2-frames.ts";
import { connectionDeps, frameClient } from "../../test/support/memory-frames.ts";
import { memorySocket } from "../../test/support/memory-socket.ts";
import { announceShutdown, drainConnection, failConnection, isIdle, ping } from "./connection.ts";
import type { ConnectionDeps, Stream } from "./connection-state.ts";
import { ERROR_CODE, encodeFrame, encodeUint32s, FLAG, FRAME } from "./frames.ts";
import { createLoad } from "./load.ts";
import { serveConnection } from "./serve-connection.ts";
import { resetWithinBudget, sendReset } from "./stream.ts";
import { sendHead } from "./stream-writer.ts";

let nowMs: number;

beforeEach(() => {
  nowMs = 0;
});

/** A client after its preface. Its requests stay open. */
function connect(overrides: Partial<ConnectionDeps> = {}) {
  const streams: Stream[] = [];
  const client = frameClient(memorySocket);
  const deps = connectionDeps({
    nowMs: () => nowMs,
    onRequest: (stream) => streams.push(stream),
    ...overrides,
  });
  const connection = serveConnection(client.socket, deps, createLoad([]));
  client.send(OPENING);
  return { ...client, connection, streams, call: (at: number) => streams[at] ?? expect.fail("no request") };
}

const goaways = ({ lines }: { readonly lines: readonly string[] }) =>
  lines.filter((line) => line.startsWith("GOAWAY"));

test("CVE-2019-9515: a client may send 100 SETTINGS at once, and ten more after each second", () => {
  const client = connect();
  const acknowledged = () => client.lines.filter((line) => line === "SETTINGS ACK").length;
  client.send(...Array.from({ length: 99 }, () => SETTINGS));
  nowMs += 1000;
  client.send(...Array.from({ length: 10 }, () => SETTINGS));
  expect([acknowledged(), goaways(client)]).toEqual([110, []]);
  client.send(SETTINGS);
  expect([acknowledged(), goaways(client)]).toEqual([110, ["GOAWAY 0 ENHANCE_YOUR_CALM"]]);
  expect(client.socket.destroyed).toBe(true);
});

test("CVE-2025-8671: the server resets 2000 streams of a client that breaks rules, and 200 more after each second", () => {
  const { connection } = connect();
  const reset = () => resetWithinBudget(connection, 1, ERROR_CODE.PROTOCOL_ERROR);
  const allowed = (times: number) =>
    Array.from({ length: times }, reset).filter((code) => code === undefined).length;
  expect(allowed(2000)).toBe(2000);
  expect(reset()).toBe(ERROR_CODE.ENHANCE_YOUR_CALM);
  nowMs += 1000;
  expect(allowed(201)).toBe(200);
});

test("§5.1.1: the streams above the highest one that the client has opened are idle, and so is every stream of the server", () => {
  const { connection, send } = connect();
  expect(isIdle(connection, 1)).toBe(true);
  send(headers(5));
  const idle = [0, 1, 2, 3, 4, 5, 6, 7, 8].filter((id) => isIdle(connection, id));
  expect(idle).toEqual([0, 2, 4, 6, 7, 8]);
});

test("§6.8: an announced shutdown names the highest possible stream, and requests are still served", () => {
  const client = connect();
  announceShutdown(client.connection);
  client.send(headers(1));
  expect(goaways(client)).toEqual(["GOAWAY 2147483647 NO_ERROR"]);
  expect([client.streams.length, client.socket.destroyed]).toEqual([1, false]);
});

test("§6.8: a draining connection names its last processed stream, serves its open streams, and closes with the last one", () => {
  const client = connect();
  client.send(headers(1), headers(3));
  drainConnection(client.connection);
  expect(goaways(client)).toEqual(["GOAWAY 3 NO_ERROR"]);
  client.send(headers(5));
  expect(client.streams.length).toBe(2);
  sendReset(client.call(1), ERROR_CODE.CANCEL);
  expect(client.socket.destroyed).toBe(false);
  client.send(encodeFrame(FRAME.DATA, FLAG.END_STREAM, 1, Buffer.alloc(0)));
  sendHead(client.call(0), Buffer.of(0x88), true);
  expect(client.socket.destroyed).toBe(true);
  expect(client.frames.at(-1)).toMatchObject({ type: FRAME.HEADERS, streamId: 1 });
});

test("§6.8: a connection that has no open stream closes when it is drained, and one that is not drained stays open", () => {
  const client = connect();
  client.send(headers(1), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(ERROR_CODE.CANCEL)));
  expect(client.socket.destroyed).toBe(false);
  drainConnection(client.connection);
  expect(goaways(client)).toEqual(["GOAWAY 1 NO_ERROR"]);
  expect(client.socket.destroyed).toBe(true);
});

test("§6.8: a connection that is closing is not drained: it sends no second GOAWAY, and its open streams end with it", () => {
  const client = connect();
  client.send(headers(1));
  client.stopReading();
  failConnection(client.connection, ERROR_CODE.PROTOCOL_ERROR);
  drainConnection(client.connection);
  failConnection(client.connection, ERROR_CODE.FLOW_CONTROL_ERROR);
  client.connection.output.flush();
  expect(goaways(client)).toEqual(["GOAWAY 1 PROTOCOL_ERROR"]);
  expect([client.connection.isDraining, client.call(0).state]).toEqual([false, "open"]);
  client.read();
  expect(client.call(0).state).toBe("closed");
});

test("§5.4.1: a connection error is sent after the responses that were written before it", () => {
  const client = connect();
  client.send(headers(1));
  sendHead(client.call(0), Buffer.of(0x88), true);
  failConnection(client.connection, ERROR_CODE.COMPRESSION_ERROR);
  expect(client.frames.at(-2)).toMatchObject({ type: FRAME.HEADERS, streamId: 1 });
  expect(client.lines.at(-1)).toBe("GOAWAY 1 COMPRESSION_ERROR");
  expect(client.send(checkOf(3, "late"))).toBe(false);
});

test("§6.7: PINGs of the server are sent at once, each with another payload", () => {
  const client = connect();
  for (let count = 0; count < 3; count++) ping(client.connection, () => undefined);
  expect(client.lines.slice(-3)).toEqual([0, 1, 2].map((id) => `PING ${String(id).padStart(16, "0")}`));
});

test("a PING that is not acknowledged is over when its connection closes", () => {
  const client = connect();
  let over = 0;
  ping(client.connection, () => over++);
  expect(over).toBe(0);
  client.close();
  expect(over).toBe(1);
});

test("§6.5.3: our maximum number of streams binds a client that has acknowledged it; before that, it may open four times as many", () => {
  const acknowledgement = encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, Buffer.alloc(0));
  for (const [first, opened] of [
    [Buffer.alloc(0), 8],
    [acknowledgement, 2],
  ] as const) {
    const client = connect({ maxStreams: 2 });
    const ids = Array.from({ length: 9 }, (_, index) => 2 * index + 1);
    client.send(first, ...ids.map((id) => headers(id)));
    expect(client.streams.length).toBe(opened);
    expect(client.lines.filter((line) => line.endsWith("REFUSED_STREAM")).length).toBe(9 - opened);
  }
});
