import type { Breaker, Outage } from "../core/limits/breaker.ts";
import type { SpreadClient } from "./spread-client.ts";

export interface ServerBreakersOptions {
  /** Makes the breaker of one server, which prevents Checks from waiting for it while it is unavailable. */
  readonly newBreaker: () => Breaker;
  readonly monotonicMs: () => number;
}

/** The breakers of the servers that hold buckets and counters. Without a Cluster there is one. */
export interface ServerBreakers {
  /** Whether to try a step on this key. */
  admits(key: string): boolean;
  succeeded(key: string): void;
  /** @param probe takes a step on the key that takes nothing */
  failed(key: string, probe: () => Promise<unknown>): void;
  /** The outage of the server that holds this key. Undefined while it responds. */
  outageOf(key: string): Outage | undefined;
  /**
   * Tries the servers that fail. Without requests nothing else would end an outage, and the local shares would keep growing.
   * Call it about every second.
   */
  probe(): Promise<void>;
}

interface Server {
  readonly breaker: Breaker;
  failed?: { readonly key: string; readonly probe: () => Promise<unknown> };
}

export function createServerBreakers(
  client: Pick<SpreadClient, "serverOf">,
  { newBreaker, monotonicMs }: ServerBreakersOptions,
): ServerBreakers {
  const servers = new Map<string, Server>();
  const serverOf = (key: string): Server => {
    const name = client.serverOf(key);
    const server = servers.get(name) ?? { breaker: newBreaker() };
    servers.set(name, server);
    return server;
  };
  return {
    admits: (key) => serverOf(key).breaker.admits(monotonicMs()),
    succeeded: (key) => serverOf(key).breaker.succeeded(),
    failed(key, probe) {
      const server = serverOf(key);
      server.breaker.failed(monotonicMs());
      server.failed = { key, probe };
    },
    outageOf: (key) => serverOf(key).breaker.outage(),
    async probe() {
      const probes: Promise<unknown>[] = [];
      for (const [name, { breaker, failed }] of servers) {
        if (breaker.outage() === undefined || failed === undefined) continue;
        // Another server holds the key by now, so this one is asked for nothing any more.
        if (client.serverOf(failed.key) === name) probes.push(failed.probe());
        else servers.delete(name);
      }
      await Promise.allSettled(probes);
    },
  };
}
