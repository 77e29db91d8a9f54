import type { ServerResponse } from "node:http";
import type { Answer } from "./answer.ts";

/** Maximum bytes of responses that clients have not read yet. A response is below 1 KiB, unless a client sent many of our headers. */
const MAX_UNREAD_BYTES = 32 * 1024 * 1024;

/** Sends responses, and bounds the memory that clients can occupy by not reading them. Beyond the bound it closes the connection. */
export function createUnreadAnswers(maxBytes = MAX_UNREAD_BYTES) {
  let unreadBytes = 0;
  return {
    send(response: ServerResponse, { status, headers, body }: Answer): void {
      const bytes = headers.reduce((sum, [name, value]) => sum + name.length + value.length, body.length);
      if (response.closed || unreadBytes + bytes > maxBytes) return void response.destroy();
      unreadBytes += bytes;
      response.once("close", () => {
        unreadBytes -= bytes;
      });
      for (const [name, value] of headers) response.appendHeader(name, value);
      response.writeHead(status, { "content-length": String(Buffer.byteLength(body)) }).end(body);
    },
  };
}
