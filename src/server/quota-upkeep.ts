import type { LeasePool } from "../core/limits/lease-pool.ts";
import type { QuotaExchange } from "../core/quotas/quota-exchange.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import { repeat } from "./repeat.ts";
import type { Runtime } from "./runtime.ts";

const RETURN_EVERY_MS = 50;
const POST_EVERY_MS = 1000;

/** Returns unused leases, and posts what was admitted while the counters were unavailable. */
export function keepLeases(
  { shutdown, log }: Pick<Runtime, "shutdown" | "log">,
  pool: Pick<LeasePool, "sweep" | "close">,
  counters: Pick<QuotaExchange, "post"> | undefined,
): void {
  shutdown.defer("the leases", pool.close);
  const stopReturns = repeat(RETURN_EVERY_MS, pool.sweep, () => undefined);
  shutdown.defer("the return of leases", stopReturns);
  if (counters === undefined) return;
  shutdown.defer("the last postings of quotas", () => counters.post().catch(() => undefined));
  const stopPosts = repeat(POST_EVERY_MS, ...logTransitions(counters.post, log, OUTAGES.quotas));
  shutdown.defer("the postings of quotas", stopPosts);
}
