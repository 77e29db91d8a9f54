import type { HostPort } from "../config/host-port.ts";
import { formatHostPort } from "../config/host-port.ts";
import type { RedisClient, RedisOptions } from "./client.ts";
import { connectRedis } from "./client.ts";
import { createOneServer } from "./one-server.ts";

/** One connection to each node of a Cluster that is used. */
export interface ClusterNodes {
  /** Connects if needed. Rejects if the node cannot be reached; the next call then tries again. */
  connected(node: HostPort): Promise<RedisClient>;
  /** Grows with each server process and each history of writes that a connection to this address has led to. */
  generation(node: HostPort): number;
  /** Closes the connections to nodes that were in neither this list nor the one before, and that nothing has used since then. */
  keep(nodes: readonly HostPort[]): void;
  finishStartup(): void;
  close(): Promise<void>;
}

export function createClusterNodes(options: Omit<RedisOptions, "node" | "server" | "observe">): ClusterNodes {
  const clients = new Map<string, Promise<RedisClient>>();
  /** A command may be waiting for a node that has just left the list. */
  let keptBefore: ReadonlySet<string> = new Set();
  let isStarted = false;
  let isClosed = false;
  /** A node that receives its first slot is in no list yet, but commands are redirected to it. */
  const used = new Set<string>();
  const generations = createGenerations();
  const connect = async (node: HostPort) => {
    if (isClosed) throw new Error("the connections were closed");
    // Each node is the only one of its connection, so an outage of one ends no other connection.
    const server = createOneServer(() => generations.begin(node));
    const client = await connectRedis({ ...options, node, server });
    if (isStarted) client.finishStartup();
    if (isClosed) void client.close();
    return client;
  };
  const add = (name: string, node: HostPort) => {
    const client = connect(node);
    clients.set(name, client);
    // Another one may have taken its place.
    client.catch(() => clients.get(name) === client && clients.delete(name));
    return client;
  };
  return {
    connected(node) {
      const name = formatHostPort(node);
      used.add(name);
      return clients.get(name) ?? add(name, node);
    },
    generation: generations.of,
    keep(nodes) {
      const kept = new Set([...nodes.map(formatHostPort), ...used]);
      used.clear();
      for (const [name, client] of clients) {
        if (kept.has(name) || keptBefore.has(name)) continue;
        clients.delete(name);
        void end(client);
      }
      keptBefore = kept;
    },
    finishStartup() {
      isStarted = true;
      for (const client of clients.values())
        client.then(({ finishStartup }) => finishStartup()).catch(() => undefined);
    },
    async close() {
      isClosed = true;
      await Promise.all([...clients.values()].map(end));
      clients.clear();
    },
  };
}

function end(client: Promise<RedisClient>): Promise<void> {
  return client.then(({ close }) => close()).catch(() => undefined);
}

function createGenerations() {
  const numbers = new Map<string, number>();
  const of = (node: HostPort) => numbers.get(formatHostPort(node)) ?? 0;
  return { of, begin: (node: HostPort) => void numbers.set(formatHostPort(node), of(node) + 1) };
}
