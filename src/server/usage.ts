import { setImmediate as nextTurn } from "node:timers/promises";
import type { Settings } from "../config/settings.ts";
import type { Poster } from "../core/postings/poster.ts";
import { createPoster } from "../core/postings/poster.ts";
import type { PostingStore } from "../core/postings/posting.ts";
import type { PackedUsage, UsagePacking } from "../core/usage/packed-usage.ts";
import { createUsagePacking, unpackUsage } from "../core/usage/packed-usage.ts";
import type { UsageStore } from "../core/usage/ports.ts";
import { totalRequests } from "../core/usage/usage-amount.ts";
import type { UsageMeter } from "../core/usage/usage-meter.ts";
import { createUsageMeter } from "../core/usage/usage-meter.ts";
import type { UsageRetention } from "../core/usage/usage-time.ts";
import { dayOfHour, hourAt } from "../core/usage/usage-time.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { backgroundWorkFails, OUTAGES } from "../telemetry/outage-messages.ts";
import type { StoreEvents, Stores } from "./ports.ts";
import { repeat } from "./repeat.ts";
import type { Runtime } from "./runtime.ts";

/** After the end of an hour, its usage is set aside within this time. */
const COLLECT_EVERY_MS = 1000;
const POST_EVERY_MS = 10_000;
/** Usage that was stored within this time is stored again on another primary. */
const KEEP_MS = 60_000;
const SWEEP_EVERY_MS = 10_000;
/** Families per turn of the event loop: about 1 ms. */
const FAMILIES_PER_TURN = 1000;

/** Whether requests are counted: `stopped` means that usage has reached `USAGE_MAX_BYTES`. */
export type MeteringState = "on" | "off" | "stopped";

export interface Metering {
  /** Undefined with `USAGE=off`. */
  readonly meter: UsageMeter | undefined;
  state(): MeteringState;
}

export function usageRetentionOf({ USAGE_RETENTION_HOURS, USAGE_RETENTION_DAYS }: Settings): UsageRetention {
  return { hoursSeconds: USAGE_RETENTION_HOURS, daysSeconds: USAGE_RETENTION_DAYS };
}

export interface MeteringDeps {
  readonly stores: Pick<Stores, "usage">;
  readonly events: Pick<StoreEvents, "loss">;
}

/** Counts usage, unless it is turned off, and stores it every 10 s. Deletes old usage in any case. */
export function startMetering(runtime: Runtime, { stores, events }: MeteringDeps): Metering {
  const { settings, log, shutdown, metrics } = runtime;
  const isStopped = startSweep(runtime, stores);
  if (settings.USAGE === "off") return { meter: undefined, state: () => "off" };
  const meter = createUsageMeter({ isStopped, onDropped: (why) => metrics.usage.dropped(why, 1) });
  const packing = createUsagePacking();
  const poster = createUsagePoster(runtime, stores, packing);
  events.loss.subscribe(() => {
    stores.usage.suspectLoss();
    poster.replay();
  });
  const { collect, collectEndedHour } = createCollection(runtime, { meter, poster, packing });
  const post = async () => {
    await collect();
    try {
      await poster.post();
    } finally {
      metrics.usage.waiting(poster.waiting());
    }
  };
  const stops = [
    repeat(COLLECT_EVERY_MS, collectEndedHour, () => undefined),
    repeat(POST_EVERY_MS, ...logTransitions(post, log, OUTAGES.usage)),
  ];
  shutdown.defer("usage", async () => {
    await Promise.all(stops.map((stop) => stop()));
    await post();
  });
  return { meter, state: () => (isStopped() ? "stopped" : "on") };
}

/** Deletes old usage. Returns whether the rest has reached `USAGE_MAX_BYTES`. */
function startSweep(
  { settings, log, shutdown, metrics, clock }: Runtime,
  { usage }: Pick<Stores, "usage">,
): () => boolean {
  let isStopped = false;
  const sweep = async () => {
    // After a jump of a clock nothing is deleted.
    const beforeMs = clock.forgetBeforeMs();
    if (beforeMs !== undefined) await usage.sweep(beforeMs);
    const bytes = await usage.bytes();
    const reached = settings.USAGE === "on" && bytes >= settings.USAGE_MAX_BYTES;
    if (reached && !isStopped) log.error({ bytes }, FAULTS.usageStopped);
    if (!reached && isStopped) log.info({ bytes }, "usage is counted again");
    isStopped = reached;
    metrics.usage.stored(bytes, isStopped);
  };
  const [work, onFailure] = logTransitions(sweep, log, backgroundWorkFails("deleting old usage"));
  // A full store must not be filled further until the first turn.
  const first = work().catch(onFailure);
  const stop = repeat(SWEEP_EVERY_MS, work, onFailure);
  shutdown.defer("the deletion of old usage", async () => {
    await first;
    await stop();
  });
  return () => isStopped;
}

function createUsagePoster(
  { metrics }: Pick<Runtime, "metrics">,
  { usage }: Pick<Stores, "usage">,
  { merge }: UsagePacking,
): Poster<PackedUsage> {
  return createPoster({
    store: unpacking(usage),
    merge,
    monotonicMs: () => performance.now(),
    scopeOf: dayOfHour,
    onLost: (amount, why) =>
      metrics.usage.dropped(why === "void" ? "expired" : "too_many", requestsIn(amount)),
    keepMs: KEEP_MS,
    nextTurn,
  });
}

/** What waits and what is kept is packed. What is on its way is not. */
function unpacking(usage: UsageStore): PostingStore<PackedUsage> {
  const { historyOf } = usage;
  return {
    ...(historyOf && { historyOf }),
    post: (postings) =>
      usage.post(
        postings.map((posting) => ({ ...posting, amount: unpackUsage(posting.subject, posting.amount) })),
      ),
  };
}

function requestsIn(amount: PackedUsage): number {
  return totalRequests(unpackUsage("", amount).requests);
}

interface Collected {
  readonly meter: UsageMeter;
  readonly poster: Poster<PackedUsage>;
  readonly packing: UsagePacking;
}

/** Sets aside what was counted, for the hour in which it was counted. */
function createCollection({ clock }: Pick<Runtime, "clock">, { meter, poster, packing }: Collected) {
  const presentHour = () => hourAt(clock.storeNowMs());
  let hour = presentHour();
  const collect = async (): Promise<void> => {
    const [countedIn, taken] = [hour, meter.take()];
    hour = presentHour();
    let count = 0;
    for (const [family, counts] of taken) {
      poster.add(family, countedIn, packing.pack(family, counts.amount()));
      counts.release();
      if (++count % FAMILIES_PER_TURN === 0) await nextTurn();
    }
  };
  return {
    collect,
    async collectEndedHour() {
      if (presentHour() !== hour) await collect();
    },
  };
}
