import { setImmediate as nextTurn } from "node:timers/promises";
import type { Settings } from "../config/settings.ts";
import type { Poster } from "../core/postings/poster.ts";
import { createPoster } from "../core/postings/poster.ts";
import type { UsageAmount } from "../core/usage/usage-amount.ts";
import { mergeUsage, totalRequests } from "../core/usage/usage-amount.ts";
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
  const poster = createUsagePoster(runtime, stores);
  events.loss.subscribe(() => {
    stores.usage.suspectLoss();
    poster.replay();
  });
  const { collect, collectEndedHour } = createCollection(runtime, meter, poster);
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
): Poster<UsageAmount> {
  return createPoster({
    store: usage,
    merge: mergeUsage,
    monotonicMs: () => performance.now(),
    scopeOf: dayOfHour,
    onLost: ({ requests }, why) =>
      metrics.usage.dropped(why === "void" ? "expired" : "too_many", totalRequests(requests)),
    keepMs: KEEP_MS,
    nextTurn,
  });
}

/** Sets aside what was counted, for the hour in which it was counted. */
function createCollection({ clock }: Pick<Runtime, "clock">, meter: UsageMeter, poster: Poster<UsageAmount>) {
  const presentHour = () => hourAt(clock.storeNowMs());
  let hour = presentHour();
  const collect = async (): Promise<void> => {
    const [countedIn, taken] = [hour, meter.take()];
    hour = presentHour();
    let count = 0;
    for (const [family, amount] of taken) {
      poster.add(family, countedIn, amount);
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
