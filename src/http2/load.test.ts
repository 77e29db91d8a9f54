import { expect, test } from "vitest";
import { data, headers, settings } from "../../test/support/http2-frames.ts";
import { memoryProcess } from "../../test/support/memory-connection.ts";
import { FLAG, SETTING } from "./frames.ts";
import { createLoad, maxBy } from "./load.ts";
import { closeStream } from "./stream.ts";
import { hasPendingData, sendData } from "./stream-writer.ts";

const END = FLAG.END_STREAM;
const ENDED_HEAD = FLAG.END_HEADERS | FLAG.END_STREAM;

test("the first item with the highest number is found, if one has a number above 0", () => {
  const numberOf = ({ length }: string) => length;
  expect(maxBy(["a", "bbb", "cc", "ddd", ""], numberOf)).toBe("bbb");
  expect(maxBy(["", ""], numberOf)).toBeUndefined();
  expect(maxBy([], numberOf)).toBeUndefined();
  expect(maxBy([-1, -2], (number) => number)).toBeUndefined();
});

test("§10.5: of too many incomplete requests, the connection with the most ends with all its streams, and others are served", () => {
  const server = memoryProcess({}, { incompleteRequests: 5 });
  const [many, complete, few] = [server.connect(), server.connect(), server.connect()];
  many.send(headers(1), headers(3), headers(5));
  // This client has the most streams, but has sent its requests.
  complete.send(...[1, 3, 5, 7, 9].map((id) => headers(id, undefined, ENDED_HEAD)), headers(11));
  few.send(headers(1));
  expect(server.load.incompleteRequests).toBe(5);
  const closed: number[] = [];
  for (const id of [1, 3, 5]) many.stream(id).onClose = () => closed.push(id);
  expect(few.send(headers(3))).toEqual([]);
  expect([closed, many.connection.isClosed, many.connection.streams.size]).toEqual([[1, 3, 5], true, 0]);
  expect([complete.connection.isClosed, few.connection.isClosed]).toEqual([false, false]);
  expect(server.load.incompleteRequests).toBe(3);
  expect(few.send(data(1, Buffer.alloc(0), END), data(3, Buffer.alloc(0), END))).toEqual([]);
  expect(server.load.incompleteRequests).toBe(1);
});

test("§10.5: a client learns why its connection with the most incomplete requests ends", () => {
  const server = memoryProcess({}, { incompleteRequests: 1 });
  const client = server.connect();
  expect(client.send(headers(1), headers(3))).toEqual(["GOAWAY 3 ENHANCE_YOUR_CALM"]);
  expect([client.socket.socket.destroyed, server.load.incompleteRequests]).toEqual([true, 0]);
});

test("§10.5: the requests of a failed connection whose client does not read are given up before those of others", () => {
  const server = memoryProcess({}, { incompleteRequests: 5 });
  const [complete, failed, other] = [server.connect(), server.connect(), server.connect()];
  for (const { socket } of [complete, failed]) socket.stopReading();
  const error = headers(2);
  expect(complete.send(headers(1, undefined, ENDED_HEAD), error)).toEqual(["GOAWAY 1 PROTOCOL_ERROR"]);
  expect(failed.send(headers(1), headers(3), error)).toEqual(["GOAWAY 3 PROTOCOL_ERROR"]);
  expect(other.send(headers(1), headers(3), headers(5))).toEqual([]);
  expect([server.load.incompleteRequests, failed.connection.streams.size]).toEqual([5, 2]);
  expect(other.send(headers(7))).toEqual([]);
  expect([server.load.incompleteRequests, failed.connection.streams.size]).toEqual([4, 0]);
  expect([
    other.connection.isClosed,
    other.connection.streams.size,
    complete.connection.streams.size,
  ]).toEqual([false, 4, 1]);
});

test("without incomplete requests no connection ends", () => {
  const server = memoryProcess();
  const client = server.connect();
  client.send(headers(1, undefined, ENDED_HEAD));
  server.load.onTooManyIncomplete();
  expect(client.connection.isClosed).toBe(false);
  expect(() => createLoad([]).onTooManyIncomplete()).not.toThrow();
});

test("§10.5: of too many bytes of bodies, the handler that has kept them for the longest time rejects its body", () => {
  const rejected: number[] = [];
  const server = memoryProcess(
    {
      onRequest(stream) {
        stream.onBodyRejected = ({ id }) => rejected.push(id);
      },
    },
    { buffered: { process: 10, connection: 10 } },
  );
  const [first, second] = [server.connect(), server.connect()];
  first.send(headers(1));
  second.send(headers(3));
  server.load.buffered.set(first.stream(1), 6);
  server.load.buffered.set(second.stream(3), 4);
  expect(rejected).toEqual([]);
  server.load.buffered.set(second.stream(3), 5);
  expect([rejected, server.load.buffered.bytes()]).toEqual([[1], 5]);
  second.stream(3).onBodyRejected = undefined;
  expect(() => server.load.buffered.set(second.stream(3), 11)).not.toThrow();
});

test("§10.5: of too many bytes that wait for windows, the stream that has waited for the longest time is reset", async () => {
  const server = memoryProcess({}, { pending: { process: 10, connection: 100 } });
  const [first, second] = [server.connect(), server.connect()];
  for (const client of [first, second]) client.send(settings([SETTING.INITIAL_WINDOW_SIZE, 0]), headers(1));
  const one = first.stream(1);
  expect(await first.after(() => sendData(one, Buffer.alloc(6)))).toEqual([]);
  expect(await second.after(() => sendData(second.stream(1), Buffer.alloc(4)))).toEqual([]);
  expect(one.state).toBe("open");
  const lines = await first.after(() => sendData(second.stream(1), Buffer.alloc(1)));
  expect(lines).toEqual(["RST_STREAM 1 ENHANCE_YOUR_CALM"]);
  expect([one.state, hasPendingData(second.stream(1)), server.load.pending.bytes()]).toEqual([
    "closed",
    true,
    5,
  ]);
});

test("§10.5: of too many bytes that clients do not read, the connection that has waited for the longest time is cut off", async () => {
  const server = memoryProcess({}, { unsent: { process: 50_000, connection: 1000 } });
  const [first, second] = [server.connect(), server.connect()];
  for (const { socket, send } of [first, second]) {
    send(headers(1));
    socket.stopReading();
  }
  await first.after(() => sendData(first.stream(1), Buffer.alloc(30_000)));
  await second.after(() => sendData(second.stream(1), Buffer.alloc(10_000)));
  expect([first.socket.socket.destroyed, second.socket.socket.destroyed]).toEqual([false, false]);
  await second.after(() => sendData(second.stream(1), Buffer.alloc(20_000)));
  expect([first.socket.socket.destroyed, second.socket.socket.destroyed]).toEqual([true, false]);
  closeStream(second.stream(1));
});
