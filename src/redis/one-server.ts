import type { ServerState } from "./server-state.ts";
import type { TopologyName } from "./topology.ts";

/** The server that a connection leads to. */
export interface ConnectedServer extends ServerState {
  readonly topology: TopologyName;
  /** Without credentials: `host:port`, or the path of a socket. */
  readonly address: string;
}

/** One connection of an instance. */
export interface ServerConnection {
  /** Undefined while the connection is not set up. */
  current(): ConnectedServer | undefined;
  /** Ends the connection and makes a new one. */
  reconnect(): void;
}

/**
 * Keeps all connections of an instance on one server. An address can move to another server while connections stay open.
 * Without this, an instance could read revocations from one server and write them to the other.
 */
export interface OneServer {
  join(connection: ServerConnection): void;
  leave(connection: ServerConnection): void;
  /** Ends every connection that leads to another process than this newest connection. */
  arrived(connection: ServerConnection): void;
  /** Ends all connections, because the server is no longer the primary, or may not be. */
  abandon(): void;
}

/**
 * @param onServer called when the connections lead to their first server, and each time that they lead to another server
 * process or another history of writes
 */
export function createOneServer(
  onServer: (now: ConnectedServer, before: ConnectedServer | undefined) => void = () => undefined,
): OneServer {
  const connections = new Set<ServerConnection>();
  let latest: ConnectedServer | undefined;
  return {
    join: (connection) => void connections.add(connection),
    leave: (connection) => void connections.delete(connection),
    arrived(last) {
      const now = last.current();
      if (now === undefined) return;
      for (const connection of connections) {
        const runId = connection.current()?.runId;
        if (runId !== undefined && runId !== now.runId) connection.reconnect();
      }
      const isSame = now.runId === latest?.runId && now.replicationId === latest.replicationId;
      if (!isSame) onServer(now, latest);
      latest = now;
    },
    abandon() {
      for (const connection of connections) connection.reconnect();
    },
  };
}
