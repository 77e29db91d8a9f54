import { once } from "node:events";
import { createServer } from "node:http2";

export interface GrpcUpstream {
  readonly port: number;
  /** The paths that were called. */
  readonly calls: readonly string[];
  stop(): Promise<void>;
}

/** A gRPC service that sends an empty message for every call. */
export async function startGrpcUpstream(): Promise<GrpcUpstream> {
  const calls: string[] = [];
  const server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    calls.push(String(headers[":path"]));
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.resume();
    stream.end(Buffer.alloc(5));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    calls,
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}
