import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { connect } from "node:http2";
import { CHECK_PATH } from "../src/envoy/proto.ts";

const IN_FLIGHT = 100;
const HEADERS = {
  ":method": "POST",
  ":path": CHECK_PATH,
  "content-type": "application/grpc",
  te: "trailers",
};

/**
 * Checks with one message after the other: h2load knows only one. It is slower than h2load, so what it measures is
 * compared with what it measures itself. Counts answers that are no allow.
 */
export async function sendChecks(
  grpc: string,
  messages: readonly Buffer[],
  requests: number,
): Promise<{ readonly seconds: number; readonly failed: number }> {
  const session = connect(`http://${grpc}`);
  await once(session, "connect");
  const start = performance.now();
  let next = 0;
  let failed = 0;
  const sendOn = async () => {
    while (next < requests) {
      const message = messages[next++ % messages.length] ?? Buffer.alloc(0);
      if (!(await isAllowed(session, message))) failed++;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sendOn));
  const seconds = (performance.now() - start) / 1000;
  session.close();
  return { seconds, failed };
}

/** An allow begins with `status.code` 0. */
const ALLOWED = Buffer.from([0x0a, 0x02, 0x08, 0x00]);

function isAllowed(session: ClientHttp2Session, message: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const stream = session.request(HEADERS);
    let first: Buffer | undefined;
    stream.on("data", (chunk: Buffer) => {
      first ??= chunk;
    });
    stream.on("error", () => undefined);
    stream.on("close", () => resolve(first?.subarray(5, 9).equals(ALLOWED) ?? false));
    stream.end(message);
  });
}
