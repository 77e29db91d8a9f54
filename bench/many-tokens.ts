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
 * compared with what it measures itself. Rejects when an answer is no allow.
 */
export async function sendChecks(
  grpc: string,
  messages: readonly Buffer[],
  requests: number,
): Promise<{ readonly seconds: number }> {
  const session = connect(`http://${grpc}`);
  await once(session, "connect");
  const start = performance.now();
  let next = 0;
  const refused = new Map<string, number>();
  const sendOn = async () => {
    while (next < requests) {
      const message = messages[next++ % messages.length] ?? Buffer.alloc(0);
      const answer = await ask(session, message);
      if (!answer.subarray(5, 9).equals(ALLOWED))
        refused.set(reasonOf(answer), (refused.get(reasonOf(answer)) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sendOn));
  const seconds = (performance.now() - start) / 1000;
  session.close();
  if (refused.size > 0) throw new Error(`of ${requests} Checks at ${grpc}: ${JSON.stringify([...refused])}`);
  return { seconds };
}

/** An allow begins with `status.code` 0. */
const ALLOWED = Buffer.from([0x0a, 0x02, 0x08, 0x00]);

function ask(session: ClientHttp2Session, message: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const stream = session.request(HEADERS);
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => undefined);
    stream.on("close", () => resolve(Buffer.concat(chunks)));
    stream.end(message);
  });
}

/** A refusal says its reason in `status.message`. */
function reasonOf(answer: Buffer): string {
  return /[a-z]+_[a-z_]+|internal/.exec(answer.toString("latin1"))?.[0] ?? "no answer";
}
