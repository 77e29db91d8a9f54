import { errorMessage } from "../core/error-message.ts";
import { createHealth } from "./health.ts";
import { startHttp2Transport } from "./http2-transport.ts";
import type { SocketFile } from "./socket-file.ts";
import { removeStaleSocket, watchSocketFile } from "./socket-file.ts";
import type { Transport, TransportOptions, UnaryMethod } from "./transport.ts";

export interface GrpcServer {
  /** `host:port`, or `unix:/path`. */
  readonly address: string;
  /** False while the file of the Unix socket is missing or replaced, so that no client can connect. */
  isReachable(): boolean;
  /** Sets the status of the health service, and notifies its watchers. */
  setServing(serving: boolean): void;
  /**
   * Accepts no new calls, and resolves when all connections are closed.
   * @param graceMs after this time, connections that are still open are destroyed
   */
  close(graceMs: number): Promise<void>;
}

/** A Unix socket is created with mode 0660. The metadata of a call is limited to 256 KiB by default. */
export interface GrpcServerOptions extends Omit<TransportOptions, "health"> {
  /** Called when the file of the Unix socket is missing or replaced, and when the listener is open there again. */
  readonly onReachable?: (isReachable: boolean) => void;
  /** The default is `http2`. */
  readonly transport?: "http2" | "grpc-js";
}

/** Serves the given methods, the health service and server reflection. Rejects if it cannot listen. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { listen } = options;
  const health = createHealth(options.methods.map(serviceOf));
  const socketPath = listen.startsWith("unix:") ? listen.slice("unix:".length) : undefined;
  if (socketPath !== undefined) await removeStaleSocket(socketPath);
  // grpc-js is loaded only if it is configured.
  const start =
    options.transport === "grpc-js"
      ? (await import("./grpc-js-transport.ts")).startGrpcJsTransport
      : startHttp2Transport;
  const transport = await start({ ...options, health }).catch((error: unknown) => {
    const reason = errorMessage(error);
    throw new Error(`the gRPC listener cannot listen on ${listen}: ${reason}`, { cause: error });
  });
  const file = socketPath === undefined ? undefined : await watchFile(socketPath, transport, options);
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

function serviceOf({ path }: UnaryMethod): string {
  return path.slice(1, path.lastIndexOf("/"));
}

function watchFile(
  path: string,
  { listenAgain }: Transport,
  { onReachable = () => undefined }: GrpcServerOptions,
): Promise<SocketFile> {
  return watchSocketFile(path, { listenAgain, onPresence: onReachable });
}
