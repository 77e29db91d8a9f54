import { expect, test } from "vitest";
import { data, HEAD, headers } from "../../test/support/http2-frames.ts";
import { memoryProcess } from "../../test/support/memory-connection.ts";
import { bufferBody, countBuffered } from "./body-buffer.ts";
import type { LoadLimits, Stream } from "./connection-state.ts";
import { FLAG } from "./frames.ts";
import { closeStream } from "./stream.ts";

const END = FLAG.END_STREAM;

/** Clients of a server that collects bodies of at most `maxBytes`. `bodies` has those that are complete, or rejected. */
function serve({ maxBytes = 1000, buffered = { process: 10_000, connection: 10_000 } } = {}) {
  const bodies: string[] = [];
  const { onBody, onBodyRejected } = bufferBody(maxBytes, (stream, body) => {
    bodies.push(`${stream.id} ${body === undefined ? "rejected" : body.toString("latin1")}`);
  });
  const limits: Partial<LoadLimits> = { buffered };
  const onRequest = (stream: Stream) => Object.assign(stream, { onBody, onBodyRejected });
  return { ...memoryProcess({ onRequest, handlesInvalid: () => true }, limits), bodies };
}

function connect(options: Parameters<typeof serve>[0] = {}) {
  const server = serve(options);
  return { ...server.connect(), bodies: server.bodies };
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

test("a body in one piece is passed on without a copy", () => {
  const client = connect();
  client.send(headers(1));
  const seen: unknown[] = [];
  const { onBody } = bufferBody(3, (stream, body) => seen.push(stream, body));
  const [stream, piece] = [client.stream(1), bytesOf("abc")];
  onBody(stream, piece, true);
  expect(seen[0]).toBe(stream);
  expect(seen[1]).toBe(piece);
});

test("a body in pieces is joined, and what is kept of it is counted until it is complete", () => {
  const { send, bodies, connection, load, stream } = connect();
  send(headers(1), headers(3), data(1, bytesOf("ab")));
  // The memory of a body may be twice as large as it.
  expect([connection.bufferedBytes, load.buffered.bytes(), stream(1).bodyBytes]).toEqual([2, 4, 2]);
  send(data(1, bytesOf("cd")), data(3, bytesOf("xyz")));
  expect([connection.bufferedBytes, load.buffered.bytes(), stream(1).bodyBytes]).toEqual([7, 10, 4]);
  send(data(1, bytesOf("efg")));
  expect([connection.bufferedBytes, load.buffered.bytes(), stream(1).bodyBytes]).toEqual([10, 20, 7]);
  expect(bodies).toEqual([]);
  send(data(1, bytesOf("h"), END));
  expect([bodies, connection.bufferedBytes, load.buffered.bytes()]).toEqual([["1 abcdefgh"], 3, 6]);
  send(data(3, bytesOf(""), END));
  expect([bodies, connection.bufferedBytes, load.buffered.bytes()]).toEqual([["1 abcdefgh", "3 xyz"], 0, 0]);
});

test("a body of a thousand pieces is copied a few times only, and is complete", () => {
  const { send, stream, bodies } = connect();
  send(headers(1));
  const buffers = new Set<unknown>();
  for (let index = 0; index < 999; index++) {
    send(data(1, Buffer.of(index & 0x7f)));
    buffers.add(stream(1).body?.buffer);
  }
  send(data(1, bytesOf("z"), END));
  expect(buffers.size).toBeLessThanOrEqual(10);
  const expected = Array.from({ length: 999 }, (_, index) => String.fromCharCode(index & 0x7f)).join("");
  expect(bodies).toEqual([`1 ${expected}z`]);
});

test.each<[what: string, pieces: readonly string[], end: string | undefined, body: string]>([
  ["5 bytes in one piece", [], "12345", "12345"],
  ["5 bytes in two pieces", ["123"], "45", "12345"],
  ["more in one piece", [], "123456", "rejected"],
  ["more at its end", ["123"], "456", "rejected"],
  ["more before its end", ["123", "456"], undefined, "rejected"],
  ["more before its end, of which the rest is ignored", ["123", "456", "7"], "8", "rejected"],
])("a body may have 5 bytes: %s", (_what, pieces, end, body) => {
  const { send, bodies, connection, load } = connect({ maxBytes: 5 });
  send(headers(1), ...pieces.map((piece) => data(1, bytesOf(piece))));
  if (end !== undefined) send(data(1, bytesOf(end), END));
  expect(bodies).toEqual([`1 ${body}`]);
  expect([connection.bufferedBytes, load.buffered.bytes()]).toEqual([0, 0]);
});

test("§8.1.1: a body that contradicts its content-length is rejected once, and frees what is kept of it", () => {
  const { send, bodies, connection, load, stream } = connect();
  send(headers(1, [...HEAD, ["content-length", "3"]]), data(1, bytesOf("ab")), data(1, bytesOf("cd")));
  expect([bodies, connection.bufferedBytes, load.buffered.bytes()]).toEqual([["1 rejected"], 0, 0]);
  stream(1).onBodyRejected?.(stream(1));
  send(data(1, bytesOf("e"), END));
  expect(bodies).toEqual(["1 rejected"]);
});

test("a stream that closes before its body is complete has no body", () => {
  const { send, bodies, stream, connection } = connect();
  send(headers(1), data(1, bytesOf("ab")));
  const one = stream(1);
  closeStream(one);
  one.onBodyRejected?.(one);
  expect([bodies, connection.bufferedBytes]).toEqual([[], 0]);
});

test("§10.5: the bodies of a connection have a limit, and the largest one is rejected first", () => {
  const { send, bodies, connection } = connect({ buffered: { process: 10_000, connection: 10 } });
  send(headers(1), headers(3), headers(5));
  send(data(1, bytesOf("12")), data(3, bytesOf("123")), data(5, bytesOf("12345")));
  expect([bodies, connection.bufferedBytes]).toEqual([[], 10]);
  send(data(1, bytesOf("3")));
  expect([bodies, connection.bufferedBytes]).toEqual([["5 rejected"], 6]);
  // Both are equally large, so the stream that grows loses.
  send(data(1, bytesOf("45678")));
  expect([bodies, connection.bufferedBytes]).toEqual([["5 rejected", "1 rejected"], 3]);
  send(data(3, bytesOf("4"), END));
  expect([bodies, connection.bufferedBytes]).toEqual([["5 rejected", "1 rejected", "3 1234"], 0]);
});

test("§10.5: as many bodies as necessary are rejected, and the last piece of a body needs memory as well", () => {
  const { send, bodies, connection } = connect({ buffered: { process: 10_000, connection: 10 } });
  send(headers(1), headers(3), headers(5));
  send(data(1, bytesOf("1")), data(3, bytesOf("1234")), data(5, bytesOf("12345")));
  send(data(1, bytesOf("234567"), END));
  expect([bodies, connection.bufferedBytes]).toEqual([["5 rejected", "3 rejected", "1 1234567"], 0]);
});

test("§10.5: the bodies of all connections have a limit, and the one that has waited for the longest time is rejected", () => {
  const { connect: open, bodies, load } = serve({ buffered: { process: 20, connection: 1000 } });
  const [first, second] = [open(), open()];
  first.send(headers(1), data(1, bytesOf("1234")));
  second.send(headers(3), data(3, bytesOf("123456")));
  expect([bodies, load.buffered.bytes()]).toEqual([[], 20]);
  second.send(headers(5), data(5, bytesOf("1")));
  expect([bodies, load.buffered.bytes(), first.connection.bufferedBytes]).toEqual([["1 rejected"], 14, 0]);
});

test("a handler that keeps bytes by itself counts them for its connection and for the process", () => {
  const { send, stream, connection, load } = connect({ buffered: { process: 1000, connection: 10 } });
  send(headers(1), headers(3));
  const [one, three] = [countBuffered(stream(1)), countBuffered(stream(3))];
  expect([one.bytes(), one.isOverLimit()]).toEqual([0, false]);
  one.set(4);
  three.set(6);
  expect([one.bytes(), three.bytes(), connection.bufferedBytes, load.buffered.bytes()]).toEqual([
    4, 6, 10, 10,
  ]);
  expect([one.isOverLimit(), three.isOverLimit()]).toEqual([false, false]);
  one.set(5);
  expect([one.isOverLimit(), three.isOverLimit()]).toEqual([true, true]);
  three.set(2);
  expect([one.isOverLimit(), connection.bufferedBytes, load.buffered.bytes()]).toEqual([false, 7, 7]);
  one.set(0);
  three.set(0);
  expect([connection.bufferedBytes, load.buffered.bytes()]).toEqual([0, 0]);
});
