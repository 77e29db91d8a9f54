/** Connections whose callers have not said yet what they want, or who they are. They have a bound of their own. */
export interface UnidentifiedConnections<Connection> {
  /**
   * Where there are too many, the oldest one of the address that has most of them is expelled: one address fills no
   * listener, and keeps no caller of another address from being heard.
   * @param name what it is known by
   * @param from its address; an empty one stands for all that have none
   */
  add(name: unknown, connection: Connection, from: string): void;
  /** It has said it, or is closed. Removing it twice does nothing. */
  remove(name: unknown): void;
}

/** @param max at least 1 */
export function createUnidentifiedConnections<Connection>(
  max: number,
  expel: (connection: Connection) => void,
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
      const [[oldest, expelled] = []] = largest(groups.values());
      remove(oldest);
      if (expelled !== undefined) expel(expelled);
    },
    remove,
  };
}

function largest<Name, Connection>(groups: Iterable<ReadonlyMap<Name, Connection>>) {
  let most: ReadonlyMap<Name, Connection> = new Map();
  for (const group of groups) if (group.size > most.size) most = group;
  return most;
}
