import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** A body says nothing to a decision. More of it ends the connection. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Reads a body and drops it, so that the connection stays usable. The response does not wait for it. */
export function discardBody(request: IncomingMessage, response: ServerResponse): void {
  // RFC 9110 §10.1.1: after a final response instead of 100, the client may or may not send the body.
  if (request.headers.expect !== undefined) response.setHeader("connection", "close");
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) request.socket.destroy();
  });
  // The connection reports its end to the response.
  request.on("error", () => undefined);
}

/** Denies what Node cannot read as a call, and closes the connection. A proxy passes a status other than 2xx on as a denial. */
export function answerUnreadable(server: Server, onAnswer: (status: number) => void): void {
  const deny = (socket: Duplex, status: keyof typeof LINES) => {
    if (!socket.writable) return void socket.destroy();
    onAnswer(status);
    socket.end(`HTTP/1.1 ${LINES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    socket.once("error", () => undefined).once("finish", () => socket.destroy());
  };
  server.on("connect", (_request, socket) => deny(socket, 400));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code === "HPE_HEADER_OVERFLOW") deny(socket, 431);
    else if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") deny(socket, 408);
    else if (error.code?.startsWith("HPE_") && error.code !== "HPE_INVALID_EOF_STATE") deny(socket, 400);
    else socket.destroy();
  });
}

const LINES = {
  400: "400 Bad Request",
  408: "408 Request Timeout",
  431: "431 Request Header Fields Too Large",
} as const;
