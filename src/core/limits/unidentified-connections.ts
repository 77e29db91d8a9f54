/** Connections that have not sent a valid request or a client certificate yet. Their number has a maximum of its own. */
export interface UnidentifiedConnections<Connection> {
  /**
   * Above the maximum, the oldest connection of the address with the most connections is closed. So one address cannot fill a
   * listener, or block clients of other addresses.
   * @param name identifies the connection
   * @param from its address; empty if it has none
   */
  add(name: unknown, connection: Connection, from: string): void;
  /** Call it when the connection is identified or closed. A second call does nothing. */
  remove(name: unknown): void;
}

/** @param max at least 1 */
export function createUnidentifiedConnections<Connection>(
  max: number,
  close: (connection: Connection) => void,
): UnidentifiedConnections<Connection> {
  const addresses = new Map<unknown, string>();
  const groups = new Map<string, Map<unknown, Connection>>();
  const remove = (name: unknown) => {
    const from = addresses.get(name);
    if (from === undefined) return;
    addresses.delete(name);
    const group = groups.get(from);
    group?.delete(name);
    if (group?.size === 0) groups.delete(from);
  };
  return {
    add(name, connection, from) {
      remove(name);
      addresses.set(name, from);
      const group = groups.get(from) ?? new Map();
      groups.set(from, group.set(name, connection));
      if (addresses.size <= max) return;
      const [[oldest, excess] = []] = largest(groups.values());
      remove(oldest);
      if (excess !== undefined) close(excess);
    },
    remove,
  };
}

function largest<Name, Connection>(groups: Iterable<ReadonlyMap<Name, Connection>>) {
  let most: ReadonlyMap<Name, Connection> = new Map();
  for (const group of groups) if (group.size > most.size) most = group;
  return most;
}
