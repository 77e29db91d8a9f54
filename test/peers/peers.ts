import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { startChild } from "../../scripts/child.ts";
import { goPeer, rustPeer } from "../../scripts/peers.ts";
import type { Stream } from "../../src/http2/server.ts";
import {
  encodeHeaderBlock,
  sendData,
  sendHead,
  sendTrailers,
  startHttp2Server,
} from "../../src/http2/server.ts";

/**
 * An HTTP/2 server on loopback. It responds "ok" to a request when the body is complete, and never if its message begins with
 * "later". Every peer has the limits of ours, as far as it has a setting for them.
 */
export interface Peer {
  readonly port: number;
  close(): Promise<unknown>;
}

export const PEERS = ["nghttp2", "go", "rust"] as const;
export type PeerName = (typeof PEERS)[number];

const MAX_HEADER_BYTES = 256 * 1024;
const MAX_STREAMS = 1024;
const MESSAGE_HEAD_BYTES = 5;

/** Starts a peer, and builds it first if need be. Rejects if this machine lacks its compiler. */
export async function startPeer(name: PeerName): Promise<Peer> {
  switch (name) {
    case "nghttp2":
      return startNode();
    case "go":
      return startProgram(await goPeer());
    case "rust":
      return startProgram(await rustPeer());
  }
}

function isNeverAnswered(body: readonly Buffer[]): boolean {
  return Buffer.concat(body).toString("latin1", MESSAGE_HEAD_BYTES).startsWith("later");
}

/** @param onFault an exception of the server */
export async function startOurs(onFault: (error: unknown) => void): Promise<Peer> {
  const { port, close } = await startHttp2Server({
    listen: "127.0.0.1:0",
    handlesInvalid: () => false,
    maxHeaderBytes: MAX_HEADER_BYTES,
    maxRequestMs: 600_000,
    singleFields: [],
    nowMs: () => performance.now(),
    maxStreams: MAX_STREAMS,
    onRequest(stream) {
      const body: Buffer[] = [];
      stream.onBody = (_stream, piece, isLast) => {
        body.push(Buffer.from(piece));
        if (isLast && !isNeverAnswered(body)) respond(stream);
      };
    },
    onFault,
  });
  return { port, close: () => close(0) };
}

const OK = encodeHeaderBlock([[":status", "200"]]);

function respond(stream: Stream): void {
  sendHead(stream, OK, false);
  sendData(stream, Buffer.from("ok"));
  sendTrailers(stream, encodeHeaderBlock([]));
}

/** nghttp2, by `node:http2`. */
async function startNode(): Promise<Peer> {
  const server = createServer({
    settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES },
  });
  // Errors of connections and streams are results here.
  server.on("session", (session) => session.on("error", () => undefined));
  server.on("sessionError", () => undefined);
  server.on("stream", (stream) => {
    const body: Buffer[] = [];
    stream.on("error", () => undefined);
    stream.on("data", (piece: Buffer) => body.push(piece));
    stream.on("end", () => {
      if (isNeverAnswered(body) || stream.destroyed) return;
      stream.respond({ ":status": 200 });
      stream.end("ok");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  // A cast: the address of a TCP server.
  const { port } = server.address() as AddressInfo;
  return { port, close: async () => server.close() };
}

/** A program that prints its port. */
async function startProgram(program: string): Promise<Peer> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const child = await startChild(program, [], { env: {}, onStdoutLine: (line) => resolve(Number(line)) });
  const port = await Promise.race([
    promise,
    child.exited.then(() => Promise.reject(new Error(`${program} ended: ${child.output()}`))),
  ]);
  return { port, close: () => child.stop() };
}
