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
  pools: readonly Pick<LeasePool, "sweep" | "close">[],
  counters: readonly Pick<QuotaExchange, "post">[],
): void {
  const post = () => all(counters.map((each) => each.post()));
  shutdown.defer("the leases", () => all(pools.map(({ close }) => close())));
  const sweep = () => all(pools.map((pool) => pool.sweep()));
  const stopReturns = repeat(RETURN_EVERY_MS, sweep, () => undefined);
  shutdown.defer("the return of leases", stopReturns);
  shutdown.defer("the last postings of quotas", () => post().catch(() => undefined));
  const stopPosts = repeat(POST_EVERY_MS, ...logTransitions(post, log, OUTAGES.quotas));
  shutdown.defer("the postings of quotas", stopPosts);
}

/** Waits for all of them. Rejects then if one has failed. */
async function all(work: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
}
