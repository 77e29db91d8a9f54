/** One connection of an instance. */
export interface ServerConnection {
  /** The run id of the connected server process; undefined if it is not known. */
  runId(): string | undefined;
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

export function createOneServer(): OneServer {
  const connections = new Set<ServerConnection>();
  return {
    join: (connection) => void connections.add(connection),
    leave: (connection) => void connections.delete(connection),
    arrived(last) {
      for (const connection of connections) {
        const runId = connection.runId();
        if (runId !== undefined && runId !== last.runId()) connection.reconnect();
      }
    },
    abandon() {
      for (const connection of connections) connection.reconnect();
    },
  };
}
