import { once } from "node:events";
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";

export const CHECK_PATH = "/envoy.service.auth.v3.Authorization/Check";

/** The response of a call. */
export interface RawResponse {
  readonly headers: IncomingHttpHeaders;
  /** Absent if the headers are the whole response. */
  readonly trailers?: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A connection on which a test can send what no gRPC client sends. `target` is `host:port` or `unix:/path`. */
export async function connectRaw(target: string, options: object = {}): Promise<ClientHttp2Session> {
  const path = target.startsWith("unix:") ? target.slice("unix:".length) : undefined;
  const own = path === undefined ? {} : { createConnection: () => connectSocket(path) };
  const session = connect(path === undefined ? `http://${target}` : "http://localhost", {
    ...own,
    ...options,
  });
  session.on("error", () => undefined);
  await once(session, "connect");
  return session;
}

/** Opens a call. Headers that are undefined are omitted. */
export function openCall(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string | undefined>> = {},
): ClientHttp2Stream {
  const all = { ":method": "POST", ":path": CHECK_PATH, "content-type": "application/grpc", te: "trailers" };
  const defined = Object.entries({ ...all, ...headers }).filter(([, value]) => value !== undefined);
  const stream = session.request(Object.fromEntries(defined));
  stream.on("error", () => undefined);
  return stream;
}

/** A framed message, whose flag and length may be wrong. */
export function frame(message: Uint8Array, flag = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

/** Waits for the whole response. Rejects if the stream closes without one. */
export async function answerOf(stream: ClientHttp2Stream): Promise<RawResponse> {
  const chunks: Buffer[] = [];
  let headers: IncomingHttpHeaders | undefined;
  let trailers: IncomingHttpHeaders | undefined;
  stream.on("response", (received) => {
    headers = received;
  });
  stream.on("trailers", (received) => {
    trailers = received;
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(stream, "close");
  if (headers === undefined) throw new Error(`no response; the stream closed with ${stream.rstCode}`);
  return { headers, body: Buffer.concat(chunks), ...(trailers && { trailers }) };
}

export function call(
  session: ClientHttp2Session,
  bytes: Uint8Array,
  headers: Readonly<Record<string, string | undefined>> = {},
): Promise<RawResponse> {
  const stream = openCall(session, headers);
  stream.end(bytes);
  return answerOf(stream);
}
