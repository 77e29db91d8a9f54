import { once } from "node:events";
import { existsSync, mkdtempSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { removeAtEnd } from "../../test/support/at-end.ts";
import { connectFrames, HEAD, headers, OPENING } from "../../test/support/http2-frames.ts";
import { connectionDeps } from "../../test/support/memory-frames.ts";
import { encodeFrame, FLAG, FRAME } from "./frames.ts";
import { encodeHeaderBlock } from "./header-encoder.ts";
import type { Http2ServerOptions, RequestHead, Stream } from "./server.ts";
import { sendHead, startHttp2Server } from "./server.ts";

const RESPONSE = encodeHeaderBlock([[":status", "200"]]);

function socketPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-server-"));
  removeAtEnd(folder);
  return join(folder, "grpc.sock");
}

/** A server whose requests stay open, until the test responds. Its time is the test's. */
async function start(overrides: Partial<Http2ServerOptions> = {}) {
  const streams: Stream[] = [];
  const heads: RequestHead["fields"][] = [];
  const time = { nowMs: 0 };
  const server = await startHttp2Server({
    ...connectionDeps({ nowMs: () => time.nowMs }),
    listen: `unix:${socketPath()}`,
    singleFields: [],
    onRequest(stream, { fields }) {
      streams.push(stream);
      heads.push(fields);
    },
    ...overrides,
  });
  onTestFinished(() => server.close(0));
  return { server, streams, heads, time };
}

/** Resolves when the server has processed all that the client has sent. */
async function settled(client: Awaited<ReturnType<typeof connectFrames>>): Promise<void> {
  const before = client.lines.length;
  await client.send(encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8)));
  await client.untilSeen(() => client.lines.slice(before).some((line) => line.startsWith("PING ACK")));
}

async function connectTo(address: string, ...bytes: readonly Uint8Array[]) {
  const client = await connectFrames(address);
  onTestFinished(() => void client.socket.destroy());
  await client.send(OPENING, ...bytes);
  await settled(client);
  return client;
}

const pathOf = (listen: string) => listen.slice("unix:".length);

async function expectNoListener(listen: string): Promise<void> {
  const [error] = await once(connect(pathOf(listen)), "error");
  expect(error).toMatchObject({ code: "ENOENT" });
}

test("a server says which port it has, and its handler gets the values of the fields that may occur once", async () => {
  const { server, heads } = await start({ listen: "127.0.0.1:0", singleFields: ["x-one", "x-two"] });
  await connectTo(`127.0.0.1:${server.port}`, headers(1, [...HEAD, ["x-two", "2"], ["x-three", "3"]]));
  expect(heads).toEqual([[undefined, "2"]]);
});

test("a server that listens again serves the connections of both listeners, and closes after both", async () => {
  const listen = `unix:${socketPath()}`;
  const { server, streams } = await start({ listen });
  const first = await connectTo(listen, headers(1));
  await server.listenAgain();
  unlinkSync(pathOf(listen));
  await server.listenAgain();
  expect(existsSync(pathOf(listen))).toBe(true);
  const second = await connectTo(listen, headers(3));
  await first.send(headers(5));
  await settled(first);
  expect(streams.map(({ id }) => id)).toEqual([1, 3, 5]);
  let isClosed = false;
  const closed = server.close(60_000).then(() => {
    isClosed = true;
  });
  const finish = async (client: typeof first, ids: readonly number[]) => {
    for (const stream of streams.filter(({ id }) => ids.includes(id))) sendHead(stream, RESPONSE, true);
    for (const id of ids) await client.send(encodeFrame(FRAME.DATA, FLAG.END_STREAM, id, Buffer.alloc(0)));
    await client.closed;
  };
  await finish(second, [3]);
  await settled(first);
  expect(isClosed).toBe(false);
  await finish(first, [1, 5]);
  await closed;
});

test("§6.8: a server that closes has no listener when it sends GOAWAY, so that clients connect to another one", async () => {
  const listen = `unix:${socketPath()}`;
  const { server } = await start({ listen });
  const client = await connectTo(listen);
  const closed = server.close(60_000);
  await client.until("GOAWAY 2147483647 NO_ERROR");
  await expectNoListener(listen);
  await closed;
});

test("a server that closes ends the connections that are still open after the time for this", async () => {
  const listen = `unix:${socketPath()}`;
  const { server, streams } = await start({ listen });
  const client = await connectTo(listen, headers(1));
  await server.close(0);
  await client.closed;
  expect(streams.map(({ state }) => state)).toEqual(["closed"]);
});

test("a server that is closed has no timers", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { server } = await start();
  expect(vi.getTimerCount()).toBeGreaterThan(0);
  await server.close(60_000);
  expect(vi.getTimerCount()).toBe(0);
});
