import { setTimeout as pause } from "node:timers/promises";
import type { RedisClient, RedisOptions } from "../redis/client.ts";
import { connectRedis } from "../redis/client.ts";
import type { LostWriteWatcher } from "../redis/feed-position.ts";
import type { KidExchange } from "../redis/kid-exchange.ts";
import { createKidExchange } from "../redis/kid-exchange.ts";
import type { FeedOptions, RevocationFeed } from "../redis/revocation-feed.ts";
import { createRevocationFeed } from "../redis/revocation-feed.ts";
import { FAULTS, settingsDiffer } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import { logTransitions, watchChanges } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import type { FleetGuard } from "./fleet-guard.ts";
import type { Fleet, StoreOptions } from "./ports.ts";
import { repeat } from "./repeat.ts";

/** An idle feed responds after this time. */
const BLOCK_MS = 300;
/** A read without a response by then ends, with its connection, so that recovery is noticed within a second. */
const READ_DEADLINE_MS = BLOCK_MS + 300;
/** Pause after a failed read. */
const RETRY_MS = 100;
/** A larger difference of clocks is logged. */
const CLOCK_WARNS_MS = 2000;
/** At this difference an instance is not ready: verifiers allow 5 s, so other instances would deny the keys that it issues. */
export const CLOCK_NOT_READY_MS = 5000;
/** Each instance compares with all others: a thousand instances read a million entries. */
const COMPARE_EVERY_MS = 5000;

interface FleetDeps {
  readonly client: RedisClient;
  readonly place: Omit<RedisOptions, "commandTimeoutMs">;
  readonly instanceId: string;
  /** Called for entries that the view does not hold. */
  readonly onFeedEntry: FeedOptions["onEntry"];
  readonly guard: FleetGuard;
  readonly lostWrites: LostWriteWatcher;
}

/** Subscribes to the revocation feed. Resolves once its snapshot is loaded. */
export async function joinFleet(
  { client, place, instanceId, onFeedEntry, guard, lostWrites }: FleetDeps,
  options: StoreOptions,
): Promise<Fleet> {
  const { shutdown, log } = options;
  const feed = await startFeed({ place, onFeedEntry, guard, lostWrites }, options);
  let clockAheadMs = () => 0;
  let instances: Fleet["instances"] = () => [];
  return {
    stalenessMs: feed.stalenessMs,
    suspectLoss: feed.suspectLoss,
    differsFromFleet: guard.differsFromFleet,
    clockAheadMs: () => clockAheadMs(),
    instances: () => instances(),
    async compare({ onJoin, ...own }) {
      const exchange = createKidExchange(client, { instanceId, ...own });
      const compare = createComparison(exchange, onJoin, log);
      await compare();
      shutdown.defer("the digests of shared settings", exchange.leave);
      guard.judgeBy(() => exchange.foreignInstances() !== undefined);
      clockAheadMs = exchange.clockAheadMs;
      instances = exchange.instances;
      const stop = repeat(COMPARE_EVERY_MS, ...logTransitions(compare, log, OUTAGES.secrets));
      shutdown.defer("the comparison of shared settings", stop);
    },
  };
}

/** Loads the snapshot, and reads the feed from then on. */
async function startFeed(
  { place, onFeedEntry, guard, lostWrites }: Omit<FleetDeps, "client" | "instanceId">,
  { shutdown, log, view, events }: StoreOptions,
): Promise<RevocationFeed> {
  const reading = await connectRedis({
    ...place,
    commandTimeoutMs: READ_DEADLINE_MS,
    // Blocking reads would distort the command durations, so only their faults are counted.
    observe: (command, elapsedMs, fault) => fault && place.observe?.(command, elapsedMs, fault),
  });
  shutdown.defer("the feed's connection", reading.close);
  const feed = createRevocationFeed({
    reading,
    blockMs: BLOCK_MS,
    view,
    monotonicMs: () => performance.now(),
    onEntry: onFeedEntry,
    onGap: events.gap.publish,
    mayWriteBack: () => !guard.differsFromFleet(),
    lostWrites,
    onDataLoss() {
      log.warn({}, FAULTS.writesLost);
      void events.loss.publish();
    },
  });
  await feed.read();
  reading.finishStartup();
  const loop = readContinuously(...logTransitions(feed.read, log, OUTAGES.feed));
  shutdown.defer("the feed", async () => {
    loop.stop();
    await reading.close();
    await loop.ended;
  });
  return feed;
}

/** Compares with the other instances, and logs each difference once. */
function createComparison(exchange: KidExchange, onJoin: () => void, log: Log): () => Promise<void> {
  const onDiffering = watchChanges("", (differing) => {
    if (differing !== "")
      return log.error({ others: exchange.foreignInstances() }, settingsDiffer(exchange.differing()));
    log.info({}, "this instance shares all settings with the others again");
    onJoin();
  });
  const onUnknownSigners = watchChanges("", (kids) => {
    if (kids !== "") log.error({ kids }, FAULTS.signerUnknown);
  });
  const onClock = createClockLog(log);
  return async () => {
    await exchange.heartbeat();
    onDiffering(exchange.differing().join(", "));
    onUnknownSigners(exchange.unknownSigners().join(" "));
    onClock(exchange.clockAheadMs());
  };
}

/** Logs when this machine's clock leaves Redis's, when it is too far off, and when both agree again. */
function createClockLog(log: Log): (aheadMs: number) => void {
  let aheadSeconds = 0;
  const onState = watchChanges<"agrees" | "differs" | "too far">("agrees", (state) => {
    if (state === "agrees") log.info({}, "this machine's clock and Redis's agree again");
    else if (state === "differs") log.warn({ aheadSeconds }, FAULTS.clockDiffers);
    else log.error({ aheadSeconds }, FAULTS.clockTooFar);
  });
  return (aheadMs) => {
    const offMs = Math.abs(aheadMs);
    aheadSeconds = aheadMs / 1000;
    onState(offMs >= CLOCK_NOT_READY_MS ? "too far" : offMs >= CLOCK_WARNS_MS ? "differs" : "agrees");
  };
}

/** Reads until it is stopped, one read after the other. */
function readContinuously(read: () => Promise<void>, onFailure: (error: unknown) => void) {
  let isStopped = false;
  const loop = async () => {
    while (!isStopped) {
      try {
        await read();
      } catch (error) {
        if (isStopped) return;
        onFailure(error);
        await pause(RETRY_MS);
      }
    }
  };
  const ended = loop();
  return {
    ended,
    stop() {
      isStopped = true;
    },
  };
}
