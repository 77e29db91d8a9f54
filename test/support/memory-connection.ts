import type {
  Connection,
  ConnectionDeps,
  Load,
  LoadLimits,
  Stream,
} from "../../src/http2/connection-state.ts";
import { FLAG, FRAME, FRAME_HEAD_BYTES } from "../../src/http2/frames.ts";
import { createLoad } from "../../src/http2/load.ts";
import { serveConnection } from "../../src/http2/serve-connection.ts";
import type { SeenFrame } from "./http2-frames.ts";
import { cutFrame, describeControl, OPENING } from "./http2-frames.ts";
import { connectionDeps } from "./memory-frames.ts";
import type { MemorySocket } from "./memory-socket.ts";
import { memorySocket } from "./memory-socket.ts";

/** A connection to the HTTP/2 server without a network. What the server sends is a line for each frame. */
export interface MemoryConnection {
  readonly connection: Connection;
  readonly socket: MemorySocket;
  readonly load: Load;
  /** Sends frames in one packet, and returns what the server sends at once. */
  send(...bytes: readonly Uint8Array[]): readonly string[];
  /** Runs a step of a handler, and returns what the server sends before anything else happens. */
  after(step: () => void): Promise<readonly string[]>;
  /** The stream of an open request. */
  stream(id: number): Stream;
}

/** The process of several connections: each one is added to the load. */
export function memoryProcess(deps: Partial<ConnectionDeps> = {}, limits: Partial<LoadLimits> = {}) {
  const open = new Set<Connection>();
  const load = createLoad(open, { ...AMPLE, ...limits });
  return {
    load,
    connect(): MemoryConnection {
      const client = connectTo(load, deps);
      open.add(client.connection);
      return client;
    },
  };
}

/** One client, whose connection has been opened. */
export function memoryConnection(
  deps: Partial<ConnectionDeps> = {},
  limits: Partial<LoadLimits> = {},
): MemoryConnection {
  return memoryProcess(deps, limits).connect();
}

const MIB = 1024 * 1024;
const AMPLE: LoadLimits = {
  buffered: { process: MIB, connection: MIB },
  pending: { process: MIB, connection: MIB },
  unsent: { process: MIB, connection: MIB },
  incompleteRequests: 1000,
};

function connectTo(load: Load, deps: Partial<ConnectionDeps>): MemoryConnection {
  let lines: string[] = [];
  const socket = memorySocket({ onSent: (bytes) => lines.push(...linesOf(bytes)) });
  const connection = serveConnection(socket.socket, connectionDeps(deps), load);
  socket.deliver(OPENING);
  return {
    connection,
    socket,
    load,
    send(...bytes) {
      lines = [];
      socket.deliver(Buffer.concat(bytes));
      return lines;
    },
    async after(step) {
      lines = [];
      step();
      await new Promise<void>((resolve) => process.nextTick(resolve));
      return lines;
    },
    stream(id) {
      const stream = connection.streams.get(id);
      if (stream === undefined) throw new Error(`stream ${id} is not open`);
      return stream;
    },
  };
}

function linesOf(bytes: Buffer): string[] {
  const lines: string[] = [];
  for (let rest = bytes, frame = cutFrame(rest); frame !== undefined; frame = cutFrame(rest)) {
    lines.push(describeControl(frame) ?? describeResponseFrame(frame));
    rest = rest.subarray(FRAME_HEAD_BYTES + frame.payload.length);
  }
  return lines;
}

/** Short content as text. */
function describeResponseFrame({ type, flags, streamId, payload }: SeenFrame): string {
  const name = type === FRAME.DATA ? "DATA" : "HEADERS";
  const content =
    payload.length > 100 ? `${payload.length} bytes` : JSON.stringify(payload.toString("latin1"));
  return `${name} ${streamId} ${content}${(flags & FLAG.END_STREAM) === 0 ? "" : " END_STREAM"}`;
}
