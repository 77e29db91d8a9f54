import assert from "node:assert/strict";
import type { Connection, Load, Stream } from "../../../src/http2/connection-state.ts";
import type { MemorySocket } from "../memory-socket.ts";
import type { ModelConnection, ModelStream } from "./state.ts";
import { isLive, liveStreams } from "./state.ts";

/** One client, its connection, and what the model expects of it. */
export interface Client {
  readonly socket: MemorySocket;
  readonly connection: Connection;
  readonly model: ModelConnection;
  /** Runs one of these after each PING that the server acknowledges. */
  applyLater(effects: readonly (() => void)[]): void;
}

const STREAM_WINDOW = 65_535;
const CONNECTION_WINDOW = 16 * 1024 * 1024;
const MAX_RESET_IDS = 1024;

/** What must hold after each step, for a connection that the server has not ended. */
export function checkConnection({ connection, model }: Client): void {
  assert.equal(model.dueError, undefined, "an error of the connection is not reported");
  assert.equal(model.sentSettings.length, 0, "SETTINGS are not acknowledged");
  assert.equal(connection.sendWindow, model.sendWindow, "the send window of the connection");
  assert.equal(connection.receiveWindow, model.receiveWindow, "the receive window of the connection");
  assert.ok(model.receiveWindow > CONNECTION_WINDOW / 2, "the window of the connection is not replenished");
  const live = liveStreams(model);
  assert.deepEqual(
    [...connection.streams.keys()],
    live.map(({ id }) => id),
    "the open streams",
  );
  assert.ok(!model.isDraining || live.length > 0, "a drained connection is not closed");
  for (const stream of [...model.open, ...model.unopened])
    assert.equal(stream.dueReset, undefined, `stream ${stream.id} is not reset`);
  model.unopened.clear();
  for (const stream of model.open) {
    assert.equal(stream.closes, isLive(stream) ? 0 : 1, `calls of onClose of stream ${stream.id}`);
    if (!isLive(stream)) model.open.delete(stream);
  }
  assert.ok(connection.resetIds.size <= MAX_RESET_IDS, "the server remembers too many streams");
  for (const stream of live) checkStream(connection, stream);
  const pending = live.reduce((sum, { written, taken }) => sum + written - taken, 0);
  assert.equal(connection.pendingBytes, pending, "the bytes that wait for a window");
  for (const { state } of connection.blockedStreams)
    assert.notEqual(state, "closed", "a closed stream waits");
}

function checkStream(connection: Connection, model: ModelStream): void {
  const { id, requestEnded, responseEnded } = model;
  const stream = model.stream ?? assert.fail(`no handler was called for stream ${id}`);
  const local = responseEnded ? "half-closed (local)" : "open";
  assert.equal(stream.state, requestEnded ? "half-closed (remote)" : local, `the state of stream ${id}`);
  assert.equal(stream.sendWindow, model.sendWindow, `the send window of stream ${id}`);
  assert.equal(stream.receiveWindow, model.receiveWindow, `the receive window of stream ${id}`);
  const pending = model.written - model.taken;
  assert.equal(stream.pendingBytes, pending, `the bytes of stream ${id} that wait for a window`);
  const isBlocked = Math.min(model.sendWindow, connection.sendWindow) <= 0;
  assert.ok(pending === 0 || isBlocked, `stream ${id} does not send although its windows are open`);
  assert.ok(pending > 0 || !model.trailersWritten || responseEnded, `stream ${id} does not end`);
  const takesBody = model.isTolerant || stream.onBody !== undefined;
  const isReplenished =
    model.receiveWindow > STREAM_WINDOW / 2 || requestEnded || stream.isPaused || !takesBody;
  assert.ok(isReplenished, `the window of stream ${id} is not replenished`);
}

/** What must hold for a connection that is closed: nothing is left, and each stream ended once. */
export function checkEnded({ connection, model }: Client): void {
  const { streams, pendingBytes, bufferedBytes, blockedStreams } = connection;
  assert.deepEqual(
    [streams.size, pendingBytes, bufferedBytes, blockedStreams.size],
    [0, 0, 0, 0],
    "what is left",
  );
  for (const { id, stream, closes } of model.streams.values())
    assert.equal(closes, stream === undefined ? 0 : 1, `calls of onClose of stream ${id}`);
}

/** What must hold for all connections together: the amounts are exact, and below their limits. */
export function checkLoad(load: Load, clients: readonly Client[]): void {
  const { limits } = load;
  const sum = (numberOf: (client: Client) => number) =>
    clients.reduce((total, client) => total + numberOf(client), 0);
  for (const { connection, model } of clients) {
    assert.ok(connection.pendingBytes <= limits.pending.connection, "the pending bytes of a connection");
    assert.ok(connection.bufferedBytes <= limits.buffered.connection, "the buffered bytes of a connection");
    assert.equal(
      connection.bufferedBytes,
      bufferedOf(connection, model),
      "the buffered bytes of the streams",
    );
  }
  assert.equal(
    load.pending.bytes(),
    sum(({ connection }) => connection.pendingBytes),
  );
  assert.ok(load.pending.bytes() <= limits.pending.process, "pending bytes exceed their limit");
  const buffered = sum(({ connection }) => connection.bufferedBytes);
  assert.ok(load.buffered.bytes() >= buffered && load.buffered.bytes() <= 2 * buffered, "the buffered bytes");
  assert.ok(load.buffered.bytes() <= limits.buffered.process, "buffered bytes exceed their limit");
  assert.ok(load.unsent.bytes() <= limits.unsent.process, "unsent bytes exceed their limit");
  assert.equal(load.incompleteRequests, sum(incompleteOf), "the incomplete requests");
  assert.ok(load.incompleteRequests <= limits.incompleteRequests, "incomplete requests exceed their limit");
}

/** What the server buffers, and what handlers keep. */
function bufferedOf({ streams }: Connection, model: ModelConnection): number {
  const kept = ({ id, bodyBytes }: Stream) => bodyBytes + (model.streams.get(id)?.keptBytes() ?? 0);
  return [...streams.values()].reduce((sum, stream) => sum + kept(stream), 0);
}

/** After the server has ended a connection, the model sees no more of it. */
export function incompleteOf({ connection, model }: Client): number {
  if (!connection.isClosed) return liveStreams(model).filter(({ requestEnded }) => !requestEnded).length;
  return [...connection.streams.values()].filter(({ state }) => !state.includes("remote")).length;
}
