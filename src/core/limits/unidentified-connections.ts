import { addressGroup } from "../decision/client-address.ts";

/** Connections that have not sent a valid request or a client certificate yet. Their number has a maximum of its own. */
export interface UnidentifiedConnections<Connection> {
  /**
   * Above the maximum, the oldest connection of the address with the most connections is closed. So one address cannot fill a
   * listener, or block clients of other addresses. The addresses of one IPv6 /64 count as one.
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
  const groups = new Map<string, Group<Connection>>();
  const groupOf = new Map<unknown, Group<Connection>>();
  const remove = (name: unknown) => {
    const group = groupOf.get(name);
    if (group === undefined) return;
    groupOf.delete(name);
    group.connections.delete(name);
    if (group.connections.size === 0) groups.delete(group.from);
  };
  return {
    add(name, connection, from) {
      remove(name);
      const address = addressGroup(from);
      const group = groups.get(address) ?? { from: address, connections: new Map() };
      groups.set(address, group);
      groupOf.set(name, group);
      group.connections.set(name, connection);
      if (groupOf.size <= max) return;
      const [oldest] = largest(groups.values());
      if (oldest === undefined) return;
      remove(oldest[0]);
      close(oldest[1]);
    },
    remove,
  };
}

/** The connections of one address, the oldest first. */
interface Group<Connection> {
  readonly from: string;
  readonly connections: Map<unknown, Connection>;
}

function largest<Connection>(groups: Iterable<Group<Connection>>): Group<Connection>["connections"] {
  let most: Group<Connection>["connections"] = new Map();
  for (const { connections } of groups) if (connections.size > most.size) most = connections;
  return most;
}
