import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { checkOf, headers, OPENING } from "../../test/support/http2-frames.ts";
import { connectionDeps, frameClient } from "../../test/support/memory-frames.ts";
import { memorySocket } from "../../test/support/memory-socket.ts";
import type { ConnectionDeps, Stream } from "./connection-state.ts";
import type { Connections } from "./connections.ts";
import { createConnections } from "./connections.ts";
import { encodeFrame, FLAG, FRAME, PREFACE } from "./frames.ts";

const opened: Connections[] = [];

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setInterval", "clearInterval", "setTimeout", "clearTimeout", "performance"],
  });
});

afterEach(() => {
  for (const connections of opened.splice(0)) connections.close();
  vi.useRealTimers();
});

/** Lets time pass, and then what waits for its reads. */
async function pass(ms: number): Promise<void> {
  vi.advanceTimersByTime(ms);
  await turn();
}

/** The connections of a server whose requests stay open, and whose time is that of the timers. */
function start(overrides: Partial<ConnectionDeps> = {}) {
  const streams: Stream[] = [];
  const nowMs = () => performance.now();
  const connections = createConnections(
    connectionDeps({ nowMs, onRequest: (stream) => streams.push(stream), ...overrides }),
  );
  opened.push(connections);
  return {
    ...connections,
    streams,
    connect(...bytes: readonly Uint8Array[]) {
      const client = frameClient(memorySocket);
      connections.add(client.socket);
      client.send(...bytes);
      return client;
    },
  };
}

type Client = ReturnType<ReturnType<typeof start>["connect"]>;

/** Acknowledges all PINGs that the client has received. */
function acknowledge({ frames, send }: Client): void {
  for (const { type, payload } of frames)
    if (type === FRAME.PING) send(encodeFrame(FRAME.PING, FLAG.ACK, 0, payload));
}

const open = (clients: readonly Client[]) => clients.map(({ socket }) => !socket.destroyed);
const goaways = ({ lines }: Client) => lines.filter((line) => line.startsWith("GOAWAY"));

test("a connection that is opened while the server drains gets GOAWAY, and closes", () => {
  const { drain, connect, streams } = start();
  drain();
  const late = connect(OPENING, checkOf(1, "late"));
  expect([goaways(late), open([late]), streams]).toEqual([["GOAWAY 0 NO_ERROR"], [false], []]);
});

test("onOpened is called with each connection before its first byte is read, and before the server sends anything", () => {
  const calls: unknown[] = [];
  const server = start({ onOpened: (socket) => calls.push(socket) });
  const client = frameClient(({ onSent }) =>
    memorySocket({ onSent: (bytes) => calls.push("sent", onSent(bytes)) }),
  );
  server.add(client.socket);
  expect(calls[0]).toBe(client.socket);
  expect(calls).toContain("sent");
});

test("§6.7: a connection that has not acknowledged a PING for 30 seconds is closed, and one that has stays open", async () => {
  const { connect } = start();
  const [alive, silent] = [connect(OPENING), connect(OPENING)];
  const pings = () => alive.lines.filter((line) => line.startsWith("PING")).length;
  for (let round = 1; round <= 3; round++) {
    await pass(29_999);
    expect(pings()).toBe(round - 1);
    expect(open([alive, silent])).toEqual([true, round < 3]);
    await pass(1);
    expect(pings()).toBe(round);
    acknowledge(alive);
    expect(open([alive, silent])).toEqual([true, round < 2]);
  }
});

test("§6.7: a connection may be opened just before a PING, and then has 30 seconds to acknowledge it", async () => {
  const { connect } = start();
  connect(OPENING).close();
  await pass(29_999);
  const client = connect(OPENING);
  await pass(30_000);
  expect(open([client])).toEqual([true]);
  await pass(1);
  expect(open([client])).toEqual([false]);
});

test("§3.4: a connection that has not sent SETTINGS for 5 seconds is closed, and one that has sent them stays open", async () => {
  const { connect } = start();
  await pass(10_000);
  const [silent, incomplete, settled] = [connect(), connect(PREFACE), connect(OPENING)];
  await pass(5000);
  expect(open([silent, incomplete, settled])).toEqual([true, true, true]);
  await pass(1000);
  expect(open([silent, incomplete, settled])).toEqual([false, false, true]);
});

test("§5.4.2: a stream is reset at its deadline, and not before, and other streams continue", async () => {
  const { connect, streams } = start({ maxRequestMs: 3000 });
  const client = connect(OPENING, headers(1), headers(3));
  const [, second] = streams;
  if (second !== undefined) second.deadlineMs += 1;
  await pass(2000);
  expect(client.lines.filter((line) => line.startsWith("RST_STREAM"))).toEqual([]);
  await pass(1000);
  expect(streams.map(({ state }) => state)).toEqual(["closed", "open"]);
  client.send();
  expect(client.lines.filter((line) => line.startsWith("RST_STREAM"))).toEqual(["RST_STREAM 1 CANCEL"]);
});

test("for a new connection, the one that has been without SETTINGS for the longest time is closed, if that is over 100 ms", async () => {
  const server = start();
  const [oldest, established] = [server.connect(), server.connect(OPENING)];
  await pass(50);
  const younger = server.connect(PREFACE);
  const all = [oldest, established, younger];
  await pass(50);
  server.evictOne();
  expect(open(all)).toEqual([true, true, true]);
  await pass(1);
  server.evictOne();
  server.evictOne();
  expect(open(all)).toEqual([false, true, true]);
  expect(goaways(oldest)).toEqual(["GOAWAY 0 NO_ERROR"]);
  await pass(50);
  server.evictOne();
  expect(open(all)).toEqual([false, true, false]);
});

test("if all connections have sent SETTINGS, the one without a request for the longest time is closed, if that is over a minute", async () => {
  const server = start();
  const [idle, busy] = [server.connect(OPENING), server.connect(OPENING)];
  const advance = async (ms: number) => {
    for (const step of [ms / 2, ms / 2]) {
      await pass(step);
      for (const client of [idle, busy]) acknowledge(client);
    }
  };
  await advance(30_000);
  busy.send(headers(1));
  await advance(30_000);
  server.evictOne();
  expect(open([idle, busy])).toEqual([true, true]);
  await advance(2);
  // One without SETTINGS is closed first, however short it has been silent.
  const silent = server.connect();
  await pass(101);
  server.evictOne();
  expect(open([silent, idle, busy])).toEqual([false, true, true]);
  server.evictOne();
  server.evictOne();
  expect(open([idle, busy])).toEqual([false, true]);
  expect(goaways(idle)).toEqual(["GOAWAY 0 NO_ERROR"]);
});

test("an idle connection that is evicted closes although it has open streams, and is not evicted again", async () => {
  const server = start({ maxRequestMs: Number.POSITIVE_INFINITY });
  const clients = [server.connect(OPENING, headers(1)), server.connect(OPENING, headers(1))];
  const [first] = clients;
  // Its client does not read, so its socket stays open for a while.
  first?.stopReading();
  for (let half = 0; half < 2; half++) {
    await pass(30_000);
    for (const client of clients) acknowledge(client);
  }
  await pass(1);
  server.evictOne();
  expect(open(clients)).toEqual([true, true]);
  server.evictOne();
  expect(open(clients)).toEqual([true, false]);
  first?.read();
  expect([open(clients), clients.map(goaways)]).toEqual([
    [false, false],
    [["GOAWAY 1 NO_ERROR"], ["GOAWAY 1 NO_ERROR"]],
  ]);
});

test("connections without SETTINGS that are closing are not evicted again", async () => {
  const server = start();
  const [first, second] = [server.connect(), server.connect()];
  // Its client does not read, so its socket stays open for a while.
  first.stopReading();
  await pass(101);
  server.evictOne();
  expect(open([first, second])).toEqual([true, true]);
  server.evictOne();
  expect(open([first, second])).toEqual([true, false]);
  first.read();
  expect(open([first])).toEqual([false]);
});

/** Begins to announce a shutdown. Returns whether it is announced. */
function announce(server: Connections): () => Promise<boolean> {
  let isAnnounced = false;
  void server.announceShutdown().then(() => {
    isAnnounced = true;
  });
  return async () => {
    await turn();
    return isAnnounced;
  };
}

test("§6.8: a shutdown is announced once every client has acknowledged the PING behind its GOAWAY, and streams continue", async () => {
  const server = start();
  const clients = [server.connect(OPENING, headers(1)), server.connect(OPENING)];
  const isAnnounced = announce(server);
  for (const client of clients) {
    expect(client.lines.slice(-2)).toEqual(["GOAWAY 2147483647 NO_ERROR", "PING 0000000000000000"]);
    expect(await isAnnounced()).toBe(false);
    acknowledge(client);
  }
  expect(await isAnnounced()).toBe(true);
  expect([open(clients), server.streams.map(({ state }) => state)]).toEqual([[true, true], ["open"]]);
  // Only the sweep is left: no PING follows, and no time limit of a notice.
  expect(vi.getTimerCount()).toBe(1);
});

test("§6.8: a client that does not acknowledge the notice delays a shutdown by 100 ms, and one that closes does not", async () => {
  const server = start();
  const [silent, closing] = [server.connect(OPENING), server.connect(OPENING)];
  const isAnnounced = announce(server);
  await pass(99);
  closing.close();
  expect(await isAnnounced()).toBe(false);
  await pass(1);
  expect([await isAnnounced(), open([silent])]).toEqual([true, [true]]);
});

test("§6.8: a shutdown is announced at once if no client is connected any more, or when the last one closes", async () => {
  const server = start();
  server.connect(OPENING).close();
  expect(await announce(server)()).toBe(true);
  const client = server.connect(OPENING);
  const isAnnounced = announce(server);
  expect(await isAnnounced()).toBe(false);
  client.close();
  expect(await isAnnounced()).toBe(true);
});

test("§6.8: drained connections close with their last stream, those without streams at once", () => {
  const server = start();
  const [busy, idle] = [server.connect(OPENING, headers(1)), server.connect(OPENING)];
  server.drain();
  expect([goaways(busy), goaways(idle)]).toEqual([["GOAWAY 1 NO_ERROR"], ["GOAWAY 0 NO_ERROR"]]);
  expect(open([busy, idle])).toEqual([true, false]);
  busy.send(encodeFrame(FRAME.RST_STREAM, 0, 1, Buffer.alloc(4)));
  expect(open([busy])).toEqual([false]);
});

test("a server that is closed has no timers", () => {
  const { close } = start();
  expect(vi.getTimerCount()).toBe(2);
  close();
  expect(vi.getTimerCount()).toBe(0);
});

test("the timers of a server do not keep its process alive", () => {
  vi.useRealTimers();
  const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;
  const before = timers();
  start();
  expect(timers()).toBe(before);
});
