import type { Socket } from "node:net";
import { createConnection } from "./connection.ts";
import type { Connection, ConnectionDeps, Load } from "./connection-state.ts";
import { CONNECTION_WINDOW_BYTES } from "./flow-control.ts";
import { createFrameParser } from "./frame-parser.ts";
import { encodeUint32s, FRAME, INITIAL_WINDOW_BYTES, SETTING, settingsPayload } from "./frames.ts";
import { closeStream } from "./stream.ts";
import { flushBlocked, notifyDrained } from "./stream-writer.ts";

/** Serves HTTP/2 on a socket that has just been opened. */
export function serveConnection(socket: Socket, deps: ConnectionDeps, load: Load): Connection {
  const connection = createConnection(socket, deps, load);
  const { output } = connection;
  sendPreface(connection);
  const parse = createFrameParser(connection);
  /** An exception of a handler ends its connection, and not the process. */
  const guarded = (step: (chunk: Buffer) => void) => (chunk: Buffer) => {
    try {
      step(chunk);
    } catch (error) {
      deps.onFault(error);
      socket.destroy();
    }
  };
  const onData = guarded((chunk) => {
    parse(chunk);
    flushBlocked(connection);
    output.flush();
    if (socket.writableLength > load.limits.unsent.connection) socket.pause();
  });
  const onDrain = guarded(() => {
    load.unsent.set(connection, 0);
    socket.resume();
    for (const stream of connection.streams.values()) notifyDrained(stream);
  });
  socket.on("data", onData);
  socket.on("drain", onDrain);
  // A broken connection affects its client only, whose responses are discarded.
  socket.on("error", () => undefined);
  socket.on("close", () => {
    connection.isClosed = true;
    load.unsent.set(connection, 0);
    for (const stream of connection.streams.values()) closeStream(stream);
    for (const onPingAck of connection.pings.values()) onPingAck();
  });
  return connection;
}

/** The server's preface is a SETTINGS frame (RFC 9113 §3.4). */
function sendPreface({ output, deps }: Connection): void {
  // Without MAX_HEADER_LIST_SIZE: a client that applies it fails the request itself, and Envoy may let such a request through.
  const settings = settingsPayload([[SETTING.MAX_CONCURRENT_STREAMS, deps.maxStreams]]);
  output.frame(FRAME.SETTINGS, 0, 0, settings);
  output.frame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(CONNECTION_WINDOW_BYTES - INITIAL_WINDOW_BYTES));
  output.flush();
}
