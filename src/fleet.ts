import { setTimeout as pause } from "node:timers/promises";
import { everyTurn, sayingOnce } from "./every-turn.ts";
import { FAULTS, OUTAGES } from "./fault-words.ts";
import type { RedisClient, RedisOptions } from "./redis/client.ts";
import { connectRedis } from "./redis/client.ts";
import type { KidExchange } from "./redis/kid-exchange.ts";
import { createKidExchange } from "./redis/kid-exchange.ts";
import type { FeedOptions } from "./redis/revocation-feed.ts";
import { createRevocationFeed } from "./redis/revocation-feed.ts";
import type { Fleet, StoresOptions } from "./stores.ts";
import type { Log } from "./telemetry/log.ts";

/** An idle feed answers after this. */
const BLOCK_MS = 300;
/** A read that has not answered by then is given up, and its connection with it: healing is noticed within a second. */
const READ_DEADLINE_MS = BLOCK_MS + 300;
/** After a failed read. */
const RETRY_MS = 100;
/** Each compares with all others: of a thousand instances this reads a million entries. */
const COMPARE_EVERY_MS = 5000;

interface FleetParts {
  readonly client: RedisClient;
  readonly place: Omit<RedisOptions, "commandTimeoutMs">;
  readonly instanceId: string;
  /** Hears of what ends no key. */
  readonly heard: FeedOptions["heard"];
  readonly missed: FeedOptions["missed"];
}

/** Hears what all instances tell, from a snapshot on: it resolves once that is loaded. */
export async function joinFleet(
  { client, place, instanceId, heard, missed }: FleetParts,
  { closing, log, view }: StoresOptions,
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
    nowMs: Date.now,
    heard,
    missed,
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
  let exchange: ReturnType<typeof createKidExchange> | undefined;
  return {
    stalenessMs: feed.stalenessMs,
    isStrange: () => exchange?.strangers() !== undefined,
    async compareKids(kids) {
      const comparing = createKidExchange(client, { instanceId, kids });
      const compare = sayingWhatDiffers(comparing, log);
      await compare();
      exchange = comparing;
      closing.later("the secrets' digests", comparing.leave);
      closing.later(
        "comparing secrets",
        everyTurn(COMPARE_EVERY_MS, ...sayingOnce(compare, log, OUTAGES.secrets)),
      );
    },
  };
}

/** Compares, and says what is found when it changes. */
function sayingWhatDiffers(exchange: KidExchange, log: Log): () => Promise<void> {
  let strange = false;
  let unknown = "";
  return async () => {
    await exchange.beat();
    const others = exchange.strangers();
    if (others !== undefined && !strange) log.error({ others }, FAULTS.secretDiffers);
    if (others === undefined && strange) log.info({}, "this instance accepts keys of the others again");
    strange = others !== undefined;
    const kids = exchange.unknownSigners().join(" ");
    if (kids !== "" && kids !== unknown) log.error({ kids }, FAULTS.signerUnknown);
    unknown = kids;
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
