import { setTimeout as pause } from "node:timers/promises";
import type { RedisClient, RedisOptions } from "../redis/client.ts";
import { connectRedis } from "../redis/client.ts";
import type { KidExchange } from "../redis/kid-exchange.ts";
import { createKidExchange } from "../redis/kid-exchange.ts";
import type { FeedOptions } from "../redis/revocation-feed.ts";
import { createRevocationFeed } from "../redis/revocation-feed.ts";
import { FAULTS, OUTAGES, settingsDiffer } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { FleetGuard } from "./fleet-guard.ts";
import { logTransitions, repeat } from "./repeat.ts";
import type { Fleet, StoresOptions } from "./stores.ts";

/** An idle feed answers after this. */
const BLOCK_MS = 300;
/** A read that has not answered by then is given up, and its connection with it: healing is noticed within a second. */
const READ_DEADLINE_MS = BLOCK_MS + 300;
/** After a failed read. */
const RETRY_MS = 100;
/** From this difference of clocks on it is said. */
const CLOCK_WARNS_MS = 2000;
/** From this difference on an instance is not ready: verifiers allow 5 s, so the keys that it issues would be refused elsewhere. */
export const CLOCK_NOT_READY_MS = 5000;
/** Each compares with all others: of a thousand instances this reads a million entries. */
const COMPARE_EVERY_MS = 5000;

interface FleetDeps {
  readonly client: RedisClient;
  readonly place: Omit<RedisOptions, "commandTimeoutMs">;
  readonly instanceId: string;
  /** Hears of what ends no key. */
  readonly onFeedEntry: FeedOptions["onEntry"];
  readonly guard: FleetGuard;
}

/** Hears what all instances tell, from a snapshot on: it resolves once that is loaded. */
export async function joinFleet(
  { client, place, instanceId, onFeedEntry: heard, guard }: FleetDeps,
  { closing, log, view, onGap: missed }: StoresOptions,
): Promise<Fleet> {
  const reading = await connectRedis({
    ...place,
    commandTimeoutMs: READ_DEADLINE_MS,
    // It waits for news: how long it took says nothing, only that it failed.
    observe: (command, elapsedMs, fault) => fault && place.observe?.(command, elapsedMs, fault),
  });
  closing.defer("the feed's connection", reading.close);
  const feed = createRevocationFeed({
    reading,
    blockMs: BLOCK_MS,
    view,
    monotonicMs: () => performance.now(),
    onEntry: heard,
    onGap: missed,
    mayWriteBack: () => !guard.differsFromFleet(),
    onDataLoss: () => log.warn({}, FAULTS.writesLost),
  });
  await feed.read();
  reading.finishStartup();
  const loop = readContinuously(...logTransitions(feed.read, log, OUTAGES.feed));
  closing.defer("the feed", async () => {
    loop.stop();
    await reading.close();
    await loop.ended;
  });
  let clockAheadMs = () => 0;
  return {
    stalenessMs: feed.stalenessMs,
    suspectLoss: feed.suspectLoss,
    differsFromFleet: guard.differsFromFleet,
    clockAheadMs: () => clockAheadMs(),
    async compare({ joined, ...own }) {
      const exchange = createKidExchange(client, { instanceId, ...own });
      const compare = logSecretMismatch(exchange, joined, log);
      await compare();
      closing.defer("the secrets' digests", exchange.leave);
      guard.judgeBy(() => exchange.foreignInstances() !== undefined);
      clockAheadMs = exchange.clockAheadMs;
      closing.defer(
        "comparing secrets",
        repeat(COMPARE_EVERY_MS, ...logTransitions(compare, log, OUTAGES.secrets)),
      );
    },
  };
}

/** Compares, and says what is found when it changes. */
function logSecretMismatch(exchange: KidExchange, joined: () => void, log: Log): () => Promise<void> {
  let differing = "";
  let unknown = "";
  const sayClock = sayingClock(log);
  return async () => {
    await exchange.heartbeat();
    const found = exchange.differing().join(", ");
    if (found !== "" && found !== differing)
      log.error({ others: exchange.foreignInstances() }, settingsDiffer(exchange.differing()));
    if (found === "" && differing !== "") {
      log.info({}, "this instance shares all settings with the others again");
      joined();
    }
    differing = found;
    const kids = exchange.unknownSigners().join(" ");
    if (kids !== "" && kids !== unknown) log.error({ kids }, FAULTS.signerUnknown);
    unknown = kids;
    sayClock(exchange.clockAheadMs());
  };
}

/** Says when this machine's clock has left Redis's, when it is too far, and when it is back. */
function sayingClock(log: Log): (aheadMs: number) => void {
  let said: "well" | "warned" | "not_ready" = "well";
  return (aheadMs) => {
    const offMs = Math.abs(aheadMs);
    const now = offMs >= CLOCK_NOT_READY_MS ? "not_ready" : offMs >= CLOCK_WARNS_MS ? "warned" : "well";
    if (now === said) return;
    if (now === "well") log.info({}, "this machine's clock and Redis's agree again");
    else if (now === "warned") log.warn({ aheadSeconds: aheadMs / 1000 }, FAULTS.clockDiffers);
    else log.error({ aheadSeconds: aheadMs / 1000 }, FAULTS.clockTooFar);
    said = now;
  };
}

/** Reads without end, one read after the other. */
function readContinuously(read: () => Promise<void>, failed: (error: unknown) => void) {
  let going = true;
  const loop = async () => {
    while (going) {
      try {
        await read();
      } catch (error) {
        if (!going) return;
        failed(error);
        await pause(RETRY_MS);
      }
    }
  };
  const ended = loop();
  return {
    ended,
    stop() {
      going = false;
    },
  };
}
