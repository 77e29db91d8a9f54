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
import { everyTurn, sayingOnce } from "./repeat.ts";
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

interface FleetParts {
  readonly client: RedisClient;
  readonly place: Omit<RedisOptions, "commandTimeoutMs">;
  readonly instanceId: string;
  /** Hears of what ends no key. */
  readonly heard: FeedOptions["heard"];
  readonly guard: FleetGuard;
}

/** Hears what all instances tell, from a snapshot on: it resolves once that is loaded. */
export async function joinFleet(
  { client, place, instanceId, heard, guard }: FleetParts,
  { closing, log, view, missed }: StoresOptions,
): Promise<Fleet> {
  const reading = await connectRedis({
    ...place,
    commandTimeoutMs: READ_DEADLINE_MS,
    // It waits for news: how long it took says nothing, only that it failed.
    observe: (command, elapsedMs, fault) => fault && place.observe?.(command, elapsedMs, fault),
  });
  closing.later("the feed's connection", reading.close);
  const feed = createRevocationFeed({
    reading,
    blockMs: BLOCK_MS,
    view,
    monotonicMs: () => performance.now(),
    heard,
    missed,
    mayWriteBack: () => !guard.isStrange(),
    lost: () => log.warn({}, FAULTS.writesLost),
  });
  await feed.read();
  reading.started();
  const loop = readOn(...sayingOnce(feed.read, log, OUTAGES.feed));
  closing.later("the feed", async () => {
    loop.stop();
    await reading.close();
    await loop.ended;
  });
  let clockAheadMs = () => 0;
  return {
    stalenessMs: feed.stalenessMs,
    suspectLoss: feed.suspectLoss,
    isStrange: guard.isStrange,
    clockAheadMs: () => clockAheadMs(),
    async compare({ joined, ...own }) {
      const exchange = createKidExchange(client, { instanceId, ...own });
      const compare = sayingWhatDiffers(exchange, joined, log);
      await compare();
      closing.later("the secrets' digests", exchange.leave);
      guard.judgeBy(() => exchange.strangers() !== undefined);
      clockAheadMs = exchange.clockAheadMs;
      closing.later(
        "comparing secrets",
        everyTurn(COMPARE_EVERY_MS, ...sayingOnce(compare, log, OUTAGES.secrets)),
      );
    },
  };
}

/** Compares, and says what is found when it changes. */
function sayingWhatDiffers(exchange: KidExchange, joined: () => void, log: Log): () => Promise<void> {
  let differing = "";
  let unknown = "";
  const sayClock = sayingClock(log);
  return async () => {
    await exchange.beat();
    const found = exchange.differing().join(", ");
    if (found !== "" && found !== differing)
      log.error({ others: exchange.strangers() }, settingsDiffer(exchange.differing()));
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
function readOn(read: () => Promise<void>, failed: (error: unknown) => void) {
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
