import type { RedisArgument, RedisClient, RedisScript } from "./client.ts";
import type { SpreadKeys } from "./names.ts";
import { spreadKeys } from "./names.ts";

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
  /** Names with the same result may be passed to one script. */
  slotOf(key: string): number;
  /** The server that a command on this key goes to now. An outage of one server does not concern the others. */
  serverOf(key: string): string;
}

/** Without a Cluster, one server holds everything. */
export function spreadOnOneServer(client: RedisClient): SpreadClient {
  return {
    keys: spreadKeys(false),
    commandAt: (_key, ...command) => client.command(...command),
    script: client.script,
    slotOf: () => 0,
    serverOf: () => "",
  };
}
