import { once } from "node:events";
import type { Agent } from "node:http";
import { request as httpRequest } from "node:http";
import { connect } from "node:http2";
import { request as httpsRequest } from "node:https";
import type { ConnectionOptions } from "node:tls";

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface RawRequest {
  readonly method?: string;
  /** Sent to the wire unchanged. */
  readonly path: string;
  /** A list is sent as several lines. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  /** Over TLS, with these certificates. */
  readonly tls?: ConnectionOptions;
  /** Keeps connections open; otherwise each request has its own. */
  readonly agent?: Agent;
}

/** Sends a request without any normalisation by the client. */
export async function sendRaw(
  port: number,
  { method = "GET", path, headers = {}, body, tls, agent }: RawRequest,
): Promise<RawAnswer> {
  const lines = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === "string" ? value : [...value]]),
  );
  const options = { port, method, path, headers: lines, agent: agent ?? false };
  const request = tls
    ? httpsRequest({ ...options, ...tls, host: "localhost" })
    : httpRequest({ ...options, host: "127.0.0.1" });
  const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>();
  request.on("error", reject);
  request.on("upgrade", ({ statusCode = 0, headers }, socket) => {
    socket.destroy();
    resolve({ status: statusCode, headers, body: "" });
  });
  request.on("response", (response) => {
    const parts: Buffer[] = [];
    response.on("data", (part: Buffer) => parts.push(part));
    response.on("error", reject);
    response.on("end", () =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(parts).toString("utf8"),
      }),
    );
  });
  request.end(body);
  return promise;
}

/** The headers and trailers of one HTTP/2 call, as a gRPC client would see them. */
export async function sendGrpc(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request({ ":method": "POST", ":path": path, te: "trailers", ...headers });
    const seen: Record<string, string> = {};
    const note = (fields: object) => {
      for (const [name, value] of Object.entries(fields)) seen[name] = String(value);
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.resume();
    stream.end();
    await once(stream, "close");
    return seen;
  } finally {
    session.close();
  }
}
