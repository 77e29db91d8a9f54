import type { ListenerTls } from "../config/certificates.ts";
import { errorMessage } from "../core/error-message.ts";
import { createHealth } from "./health.ts";
import { startHttp2Transport } from "./http2-transport.ts";
import type { SocketFile } from "./socket-file.ts";
import { watchSocketFile } from "./socket-file.ts";
import { removeStaleSocket } from "./stale-socket.ts";
import type { Check, Transport } from "./transport.ts";

export interface GrpcServer {
  /** `host:port`, or `unix:/path`. */
  readonly address: string;
  /** Whether callers find it: false while the file of its Unix socket is gone, or another one is in its place. */
  isReachable(): boolean;
  /** What the health service says from now on, to watchers too. */
  setServing(serving: boolean): void;
  /** Takes no new call and resolves when the open ones are answered, or cut off after the time given. */
  close(graceMs: number): Promise<void>;
}

export interface EnvoyServerOptions {
  /** `host:port` (port 0 takes a free one), or `unix:/path` (made with mode 0660). */
  readonly listen: string;
  readonly check: Check;
  /** Absent: the door speaks clear text. */
  readonly tls?: ListenerTls;
  /** Of the metadata of a call; 256 KiB unless it says otherwise. */
  readonly maxHeaderBytes?: number;
  /** Hears of a fault of ours that ended a connection. */
  readonly faulted?: (error: unknown) => void;
  /** Hears when the file of its Unix socket is gone, and when it listens there again. */
  readonly socketChanged?: (isReachable: boolean) => void;
  /** What carries the calls; `http2` unless it says otherwise. */
  readonly transport?: "http2" | "grpc-js";
}

/** Opens the door that Envoy knocks on. Rejects when it cannot listen. */
export async function startGrpcServer(options: EnvoyServerOptions): Promise<GrpcServer> {
  const { listen } = options;
  const health = createHealth();
  const socketPath = listen.startsWith("unix:") ? listen.slice("unix:".length) : undefined;
  if (socketPath !== undefined) await removeStaleSocket(socketPath);
  // Loaded only where it is asked for.
  const start =
    options.transport === "grpc-js"
      ? (await import("./grpc-js-transport.ts")).startGrpcJsTransport
      : startHttp2Transport;
  const transport = await start({ ...options, health }).catch((error: unknown) => {
    const why = errorMessage(error);
    throw new Error(`the gRPC door cannot listen on ${listen}: ${why}`, { cause: error });
  });
  const file = socketPath === undefined ? undefined : await keepFile(socketPath, transport, options);
  return {
    address: socketPath === undefined ? listen.replace(/\d+$/, String(transport.port)) : listen,
    isReachable: () => file?.isPresent() ?? true,
    setServing: health.setServing,
    close(graceMs) {
      file?.close();
      health.close();
      return transport.close(graceMs);
    },
  };
}

function keepFile(
  path: string,
  { listenAgain }: Transport,
  { socketChanged = () => undefined }: EnvoyServerOptions,
): Promise<SocketFile> {
  return watchSocketFile(path, { listenAgain, changed: socketChanged });
}
