/** One of an instance's connections. */
export interface ServerConnection {
  /** Which process it leads to; undefined while it leads to none that is known. */
  runId(): string | undefined;
  /** Ends it; it is made anew. */
  reconnect(): void;
}

/**
 * Keeps all connections of an instance on one server. An address may move to another server while connections stay
 * open: revocations would then be read at one and written at the other.
 */
export interface OneServer {
  join(connection: ServerConnection): void;
  leave(connection: ServerConnection): void;
  /** Ends every connection that leads to another process than this one, which was made last. */
  arrived(connection: ServerConnection): void;
  /** Ends all: the server is not the primary any more, or cannot know whether it is. */
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
