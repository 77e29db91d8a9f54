import type { UsageRetention } from "../core/usage/usage-time.ts";
import type { RedisClient } from "./client.ts";
import type { SpreadClient } from "./spread-client.ts";

export interface UsageStoreOptions {
  /** Holds what lists families. */
  readonly registry: RedisClient;
  /** Holds the counts of each family. */
  readonly spread: SpreadClient;
  readonly instanceId: string;
  readonly retention: UsageRetention;
  /** Redis's clock in milliseconds, for what is kept. Postings are judged by Redis itself. */
  readonly nowMs: () => number;
}
