import { chmodSync } from "node:fs";
import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { Server } from "@grpc/grpc-js";
import type { DoorTls } from "../core/ports.ts";
import type { Check } from "./check.ts";
import { serverCredentials } from "./credentials.ts";
import { createHealth } from "./health.ts";
import { AUTHORIZATION_SERVICE, HEALTH_SERVICE } from "./proto.ts";
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
}

/** Envoy's request headers end at 60 KiB by default; a CheckRequest of twice that is not one. */
const MAX_MESSAGE_BYTES = 256 * 1024;

/** Opens the door that Envoy knocks on. Rejects when it cannot listen. */
export async function startEnvoyServer(options: EnvoyServerOptions): Promise<EnvoyServer> {
  const server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_concurrent_streams": 1024,
  });
  const health = createHealth();
  server.addService(AUTHORIZATION_SERVICE, { Check: toGrpcHandler(options.check) });
  server.addService(HEALTH_SERVICE, health.handlers);
  const socketPath = options.listen.startsWith("unix:") ? options.listen.slice("unix:".length) : undefined;
  if (socketPath !== undefined) await removeStaleSocket(socketPath);
  const port = await bind(server, options);
  if (socketPath !== undefined) chmodSync(socketPath, 0o660);
  return {
    address: socketPath === undefined ? options.listen.replace(/\d+$/, String(port)) : options.listen,
    setServing: health.setServing,
    close: (graceMs) => {
      health.close();
      return shutDown(server, graceMs);
    },
  };
}

function toGrpcHandler(check: Check) {
  return (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>): void => {
    const deadline = call.getDeadline();
    const timeLeftMs = (deadline instanceof Date ? deadline.getTime() : deadline) - Date.now();
    const answer = check(call.request, timeLeftMs);
    if (answer instanceof Promise) void answer.then((bytes) => reply(null, asBuffer(bytes)));
    else reply(null, asBuffer(answer));
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bind(server: Server, { listen, tls }: EnvoyServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, serverCredentials(tls), (error, port) => {
      if (error === null) resolve(port);
      else reject(new Error(`the gRPC door cannot listen on ${listen}: ${error.message}`));
    });
  });
}

function shutDown(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
