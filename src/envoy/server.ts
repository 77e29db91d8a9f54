import { chmodSync } from "node:fs";
import type { DoorTls } from "../core/ports.ts";
import type { Check } from "./check.ts";
import { createHealth } from "./health.ts";
import { startHttp2Transport } from "./http2-transport.ts";
import { removeStaleSocket } from "./stale-socket.ts";

export interface EnvoyServer {
  /** `host:port`, or `unix:/path`. */
  readonly address: string;
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
  readonly tls?: DoorTls;
  /** Of the metadata of a call; 256 KiB unless it says otherwise. */
  readonly maxHeaderBytes?: number;
  /** Hears of a fault of ours that ended a connection. */
  readonly faulted?: (error: unknown) => void;
  /** What carries the calls; `http2` unless it says otherwise. */
  readonly transport?: "http2" | "grpc-js";
}

/** Opens the door that Envoy knocks on. Rejects when it cannot listen. */
export async function startEnvoyServer(options: EnvoyServerOptions): Promise<EnvoyServer> {
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
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`the gRPC door cannot listen on ${listen}: ${why}`, { cause: error });
  });
  if (socketPath !== undefined) chmodSync(socketPath, 0o660);
  return {
    address: socketPath === undefined ? listen.replace(/\d+$/, String(transport.port)) : listen,
    setServing: health.setServing,
    close(graceMs) {
      health.close();
      return transport.close(graceMs);
    },
  };
}
