import type { ConnectionDeps } from "../../src/http2/connection-state.ts";
import { createSingleFields } from "../../src/http2/request-head.ts";
import type { FrameReader } from "./http2-frames.ts";
import { createFrameReader } from "./http2-frames.ts";
import type { MemorySocket, MemorySocketOptions } from "./memory-socket.ts";

/** A client in memory that sends any frames, and reads those of the server. */
export interface FrameClient extends MemorySocket, FrameReader {
  /** Delivers bytes in one piece. Returns whether the server took them. */
  send(...bytes: readonly Uint8Array[]): boolean;
}

/** @param connect `memorySocket`, or `connect` of a server in memory */
export function frameClient<Client extends MemorySocket>(
  connect: (options: MemorySocketOptions) => Client,
): Client & FrameClient {
  const reader = createFrameReader();
  const client = connect({ onSent: reader.receive });
  return { ...client, ...reader, send: (...bytes) => client.deliver(Buffer.concat(bytes)) };
}

/** The needs of a connection whose handler leaves every request open. A fault of the server is thrown where it occurs. */
export function connectionDeps(overrides: Partial<ConnectionDeps> = {}): ConnectionDeps {
  return {
    nowMs: () => 0,
    onRequest: () => undefined,
    handlesInvalid: () => false,
    maxStreams: 100,
    maxHeaderBytes: 8192,
    maxRequestMs: 10_000,
    singleFields: createSingleFields([]),
    onFault(error) {
      throw error;
    },
    ...overrides,
  };
}
