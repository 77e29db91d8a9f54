import type { Socket } from "node:net";
import type { Connection, ConnectionPorts, Load } from "./connection.ts";
import { CONNECTION_WINDOW_BYTES, createConnection } from "./connection.ts";
import { flushBlocked } from "./frame-handlers.ts";
import { createFrameParser } from "./frame-parser.ts";
import { encodeUint32s, FRAME, INITIAL_WINDOW_BYTES, SETTING, settingsPayload } from "./frames.ts";
import { closeStream } from "./stream.ts";

/** A caller that takes nothing is not listened to while so much waits for it. */
const MAX_UNSENT_BYTES = 1024 * 1024;

/** Serves HTTP/2 on a socket that has just been opened. */
export function serveConnection(socket: Socket, ports: ConnectionPorts, load: Load): Connection {
  const connection = createConnection(socket, ports, load);
  const { output } = connection;
  sendPreface(connection);
  const take = createFrameParser(connection);
  socket.on("data", (chunk: Buffer) => {
    try {
      take(chunk);
      flushBlocked(connection);
      output.flush();
    } catch (error) {
      ports.onFault(error);
      socket.destroy();
    }
    if (socket.writableLength > MAX_UNSENT_BYTES) socket.pause();
  });
  socket.on("drain", () => {
    load.unsent.set(connection, 0);
    socket.resume();
    for (const stream of connection.streams.values()) stream.onDrain?.();
  });
  // A connection that breaks is its caller's loss: the answers find nobody.
  socket.on("error", () => undefined);
  socket.on("close", () => {
    connection.isOver = true;
    load.unsent.set(connection, 0);
    for (const stream of connection.streams.values()) closeStream(stream);
    for (const answered of connection.pings.values()) answered();
  });
  return connection;
}

function sendPreface({ output, ports }: Connection): void {
  // No MAX_HEADER_LIST_SIZE: a caller that acts on it would fail the call itself, which Envoy may let through.
  const settings = settingsPayload([[SETTING.MAX_CONCURRENT_STREAMS, ports.maxStreams]]);
  output.frame(FRAME.SETTINGS, 0, 0, settings);
  output.frame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(CONNECTION_WINDOW_BYTES - INITIAL_WINDOW_BYTES));
  output.flush();
}
