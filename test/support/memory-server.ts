import { checkMethod } from "../../src/ext-authz/method.ts";
import { createHealth } from "../../src/grpc/health.ts";
import { callOptions } from "../../src/grpc/http2-transport.ts";
import type { Connection, ConnectionDeps, Load } from "../../src/http2/connection-state.ts";
import { createLoad } from "../../src/http2/load.ts";
import { createSingleFields } from "../../src/http2/request-head.ts";
import { serveConnection } from "../../src/http2/serve-connection.ts";
import type { MemorySocket, MemorySocketOptions } from "./memory-socket.ts";
import { memorySocket } from "./memory-socket.ts";

export interface MemoryClient extends MemorySocket {
  readonly connection: Connection;
}

/** The gRPC server without a network and without time. It echoes the message of a Check. */
export interface MemoryServer {
  readonly load: Load;
  connect(options: MemorySocketOptions): MemoryClient;
}

export interface MemoryServerOptions {
  /** By default, each Check is answered at once. */
  readonly check?: (message: Uint8Array | undefined) => Uint8Array | Promise<Uint8Array>;
  readonly nowMs?: () => number;
}

/** Throws an exception of the server where it occurs, in `deliver`. */
export function memoryServer({
  check = (message) => message ?? Buffer.from("denied"),
  nowMs = () => 0,
}: MemoryServerOptions = {}): MemoryServer {
  const connections = new Set<Connection>();
  const load = createLoad(connections);
  const options = callOptions(
    {
      methods: [checkMethod(check)],
      health: createHealth([]),
      onFault(error) {
        throw error;
      },
    },
    nowMs,
  );
  const deps: ConnectionDeps = {
    ...options,
    singleFields: createSingleFields(options.singleFields),
  };
  return {
    load,
    connect(socketOptions) {
      const client = memorySocket(socketOptions);
      const connection = serveConnection(client.socket, deps, load);
      connections.add(connection);
      client.socket.on("close", () => connections.delete(connection));
      return { ...client, connection };
    },
  };
}
