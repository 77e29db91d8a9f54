import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
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

/** Connects and sends nothing. Resolves when the server has accepted the connection. */
async function connectSilent(
  to: { readonly path: string } | { readonly port: number; readonly host: string },
) {
  const socket = connect(to).on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, "data");
  return socket;
}

test("a server says which port it has, and its handler gets the values of the fields that may occur once", async () => {
  const { server, heads } = await start({ listen: "127.0.0.1:0", singleFields: ["x-one", "x-two"] });
  await connectTo(`127.0.0.1:${server.port}`, headers(1, [...HEAD, ["x-two", "2"], ["x-three", "3"]]));
  expect(heads).toEqual([[undefined, "2"]]);
});

test("a server that listens again serves the connections of both listeners, and waits for both when it closes", async () => {
  const listen = `unix:${socketPath()}`;
  const { server, streams } = await start({ listen });
  const first = await connectTo(listen, headers(1));
  await server.listenAgain();
  const second = await connectTo(listen, headers(1));
  await first.send(headers(3));
  await settled(first);
  expect(streams.map(({ id }) => id)).toEqual([1, 1, 3]);
  let isClosed = false;
  const closed = server.close(60_000).then(() => {
    isClosed = true;
  });
  for (const client of [first, second]) {
    await client.until(/^GOAWAY 2147483647/);
    await settled(client);
    const pings = client.frames.filter(({ type, flags }) => type === FRAME.PING && flags === 0);
    for (const { payload } of pings) await client.send(encodeFrame(FRAME.PING, FLAG.ACK, 0, payload));
  }
  for (const client of [first, second]) await client.until(/^GOAWAY [13] NO_ERROR/);
  for (const [index, client] of [second, first].entries()) {
    const own = streams.filter(({ connection }) => (connection === streams[1]?.connection) === (index === 0));
    for (const stream of own) sendHead(stream, RESPONSE, true);
    for (const { id } of own)
      await client.send(encodeFrame(FRAME.DATA, FLAG.END_STREAM, id, Buffer.alloc(0)));
    expect(isClosed).toBe(false);
    await client.closed;
  }
  await closed;
});

test("a server that closes ends the connections that are still open after the time for this", async () => {
  const listen = `unix:${socketPath()}`;
  const { server, streams } = await start({ listen });
  const client = await connectTo(listen, headers(1));
  await server.close(0);
  await client.closed;
  expect(streams.map(({ state }) => state)).toEqual(["closed"]);
  await expect(connectSilent({ path: listen.slice("unix:".length) })).rejects.toMatchObject({
    code: "ENOENT",
  });
});
