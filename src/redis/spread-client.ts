import type { RedisArgument, RedisClient, RedisScript } from "./client.ts";
import type { SpreadKeys } from "./names.ts";
import { spreadKeys } from "./names.ts";
import { texts } from "./replies.ts";
import { scanPages } from "./scan-pages.ts";

/**
 * The connection to what is spread over the nodes of a Cluster. A failed call rejects with `RedisUnavailable`. No command is
 * resent that may have run.
 */
export interface SpreadClient {
  readonly keys: SpreadKeys;
  /** Sends a command to the node that holds `key`, such as `TIME`, which has no key itself. */
  commandAt(key: string, name: string, ...args: readonly RedisArgument[]): Promise<unknown>;
  /**
   * The script goes to the node of its keys. All of them must lie in one slot. While that slot moves, a script of several keys
   * may be rejected with `TRYAGAIN`, and has not run; one of a single key never is.
   */
  script(source: string, name?: string): RedisScript;
  /**
   * The names of all primaries that match the pattern, in portions. A name may occur twice. While the slots of a Cluster move, a
   * name may be missing.
   */
  scan(pattern: string): AsyncIterable<readonly string[]>;
  /** Names with the same result may be passed to one script. */
  slotOf(key: string): number;
  /** The server that a command on this key goes to now. An outage of one server does not concern the others. */
  serverOf(key: string): string;
  /**
   * Names the history of writes that a command on this key is added to now. It differs once another server serves the key, once
   * its server was restarted, and after each failover in the Cluster: the key may then lack what was written before.
   */
  historyOf(key: string): string;
}

/** Without a Cluster, one server holds everything. */
export function spreadOnOneServer(client: RedisClient): SpreadClient {
  return {
    keys: spreadKeys(false),
    commandAt: (_key, ...command) => client.command(...command),
    script: client.script,
    scan: (pattern) => scanNames(client, pattern),
    slotOf: () => 0,
    serverOf: () => "",
    // Other parts notice that this server was replaced, because the registry is there too.
    historyOf: () => "",
  };
}

/** The names on one server. A name may occur twice. */
export async function* scanNames(client: RedisClient, match: string): AsyncIterable<readonly string[]> {
  for await (const names of scanPages(client, "SCAN", { match })) yield texts(names);
}
