import assert from "node:assert/strict";
import { drainConnection } from "../../../src/http2/connection.ts";
import type { Connection, ConnectionDeps, Load, LoadLimits } from "../../../src/http2/connection-state.ts";
import { closeOverdue } from "../../../src/http2/connections.ts";
import { ERROR_CODE, MAX_FRAME_BYTES } from "../../../src/http2/frames.ts";
import { createLoad } from "../../../src/http2/load.ts";
import { createSingleFields } from "../../../src/http2/request-head.ts";
import { serveConnection } from "../../../src/http2/serve-connection.ts";
import { OPENING } from "../http2-frames.ts";
import { memorySocket } from "../memory-socket.ts";
import type { Client } from "./checks.ts";
import { checkConnection, checkEnded, checkLoad, incompleteOf } from "./checks.ts";
import { createObserver, encode, MARK } from "./client.ts";
import type { HandlerLimits } from "./handler.ts";
import { serve } from "./handler.ts";
import type { ClientFrame } from "./rules.ts";
import { applyFrame } from "./rules.ts";
import type { ModelConnection } from "./state.ts";
import { expectReset, isLive, liveStreams } from "./state.ts";

const MAX_REQUEST_MS = 10_000;

/** So low that a few requests reach them. */
export interface Bounds {
  readonly clients: number;
  readonly maxStreams: number;
  readonly limits: LoadLimits;
}

/** What the server may do in the current step, to stay below a limit. */
interface Permitted {
  /** Reset streams whose DATA waits. */
  reset: boolean;
  /** Reject bodies that are not complete. */
  reject: boolean;
  /** End a connection with incomplete requests. */
  end: boolean;
}

export interface World {
  readonly load: Load;
  readonly clients: readonly Client[];
  readonly limits: HandlerLimits;
  /** Sends frames, and checks what they do. Stops when the server does not read from this client. */
  send(client: Client, ...frames: readonly ClientFrame[]): void;
  /** Sends several frames in one packet. None of them may call a handler. */
  sendTogether(client: Client, frames: readonly ClientFrame[]): void;
  /** Runs a step of a handler, and checks what the server does. */
  act(step: () => void): void;
  advance(ms: number): void;
  drain(client: Client): void;
  setReading(client: Client, isReading: boolean): void;
}

/** Some clients and the server, without a network and without time. A client whose connection has ended opens another one. */
export function createWorld({ clients: clientCount, maxStreams, limits: bounds }: Bounds): World {
  const open = new Set<Connection>();
  const load = createLoad(open, bounds);
  const faults: unknown[] = [];
  let nowMs = 0;
  const may: Permitted = { reset: false, reject: false, end: false };
  const clients: Client[] = [];
  const limits: HandlerLimits = {
    onWrite(bytes) {
      const pending = clients.map(({ model }) => pendingOf(model));
      const total = pending.reduce((sum, one) => sum + one, bytes);
      may.reset ||=
        total > bounds.pending.process || Math.max(...pending) + bytes > bounds.pending.connection;
    },
    mayReject: () => may.reject,
  };
  const deps: ConnectionDeps = {
    nowMs: () => nowMs,
    maxStreams,
    maxHeaderBytes: 8192,
    maxRequestMs: MAX_REQUEST_MS,
    singleFields: createSingleFields([]),
    handlesInvalid: ({ path }) => path === "/tolerant",
    onFault: (error) => faults.push(error),
    onRequest(stream) {
      const client = clients.find(({ connection }) => connection === stream.connection);
      const call = client?.model.streams.get(stream.id);
      assert.ok(call !== undefined && isLive(call), `a handler is called for stream ${stream.id}`);
      serve(call, stream, limits);
    },
  };
  const connect = (): Client => {
    let effects: (() => void)[] = [];
    const observer = createObserver(
      (stream) => (stream === undefined ? may.end : may.reset && stream.written > stream.taken),
      () => effects.shift()?.(),
    );
    const socket = memorySocket({ onSent: observer.receive });
    const connection = serveConnection(socket.socket, deps, load);
    open.add(connection);
    socket.socket.on("close", () => open.delete(connection));
    socket.deliver(OPENING);
    const { model } = observer;
    const client: Client = {
      socket,
      connection,
      model,
      applyLater(all) {
        effects = [...all];
      },
    };
    model.settingsTokens--;
    return client;
  };
  const check = () => {
    for (const { connection } of clients) connection.output.flush();
    if (faults.length > 0) throw faults[0];
    const mayDestroy = isUnsentOver(clients, bounds);
    for (const [index, client] of clients.entries()) {
      if (client.socket.socket.destroyed) {
        assert.ok(client.model.isOver || isDrained(client) || mayDestroy, "a connection is destroyed");
        checkEnded(client);
        clients[index] = connect();
      } else if (client.connection.isClosed) assert.ok(client.model.isOver || isDrained(client));
      else checkConnection(client);
    }
    checkLoad(load, clients);
    Object.assign(may, { reset: false, reject: false, end: false });
  };
  const permit = () => {
    const kept = clients.reduce((sum, { connection }) => sum + connection.bufferedBytes, MAX_FRAME_BYTES);
    const most = Math.max(...clients.map(({ connection }) => connection.bufferedBytes)) + MAX_FRAME_BYTES;
    // The capacity of a buffer may be twice what it holds.
    may.reject = 2 * kept > bounds.buffered.process || most > bounds.buffered.connection;
    may.end = clients.reduce((sum, client) => sum + incompleteOf(client), 0) > bounds.incompleteRequests;
  };
  for (let count = 0; count < clientCount; count++) clients.push(connect());
  check();
  return {
    load,
    clients,
    limits,
    send(client, ...frames) {
      for (const frame of frames) {
        if (!accepts(client)) break;
        const sent = "id" in frame ? (client.model.streams.get(frame.id)?.received ?? 0) : 0;
        applyFrame(client.model, frame, { maxStreams, maxRequestMs: MAX_REQUEST_MS, nowMs });
        permit();
        client.socket.deliver(encode(frame, sent));
      }
      check();
    },
    sendTogether(client, frames) {
      if (!accepts(client)) return;
      const options = { maxStreams, maxRequestMs: MAX_REQUEST_MS, nowMs };
      const [first, ...rest] = frames.map((frame) => () => applyFrame(client.model, frame, options));
      first?.();
      client.applyLater(rest);
      client.socket.deliver(Buffer.concat(frames.flatMap((frame) => [encode(frame, 0), MARK])));
      check();
    },
    act(step) {
      step();
      check();
    },
    advance(ms) {
      nowMs += ms;
      for (const { model, connection } of clients) {
        model.settingsTokens = Math.min(100, model.settingsTokens + ms / 100);
        model.resetTokens = Math.min(2000, model.resetTokens + ms / 5);
        for (const stream of connection.isClosed ? [] : liveStreams(model))
          if (stream.deadlineMs <= nowMs) expectReset(stream, ERROR_CODE.CANCEL);
      }
      closeOverdue(open, nowMs);
      check();
    },
    drain(client) {
      client.model.isDraining = true;
      drainConnection(client.connection);
      check();
    },
    setReading(client, isReading) {
      if (isReading) client.socket.read();
      else client.socket.stopReading();
      check();
    },
  };
}

function pendingOf(model: ModelConnection): number {
  return liveStreams(model).reduce((sum, { written, taken }) => sum + written - taken, 0);
}

/** Whether the server must close the connection, because its last stream has ended. */
function isDrained({ model }: Client): boolean {
  return model.isDraining && liveStreams(model).length === 0;
}

function isUnsentOver(clients: readonly Client[], { unsent: limit }: LoadLimits): boolean {
  const unsent = clients.reduce((sum, { socket }) => sum + socket.socket.writableLength, 0);
  return unsent > limit.process;
}

function accepts({ socket, connection }: Client): boolean {
  return socket.isReadable() && !connection.isClosed;
}
