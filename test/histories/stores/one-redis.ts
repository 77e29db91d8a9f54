import { setTimeout as pause } from "node:timers/promises";
import { registryKeys } from "../../../src/redis/names.ts";
import type { FaultRelay } from "../../support/fault-relay.ts";
import { startFaultRelay } from "../../support/fault-relay.ts";
import type { TestedRedis } from "../../support/redis.ts";
import { startRedis, urlBy } from "../../support/redis.ts";
import type { HistoryStore } from "./store.ts";
import { OLD_EPOCH, until, wayOf } from "./store.ts";

/** Every write is on disk before it is acknowledged, so a killed Redis loses none. */
const DURABLE = ["--appendonly", "yes", "--appendfsync", "always"];
/**
 * A write acknowledged this long ago has reached every running instance, so a Redis that lost it gets it back
 * from them.
 */
const KNOWN_TO_ALL_MS = 2000;

/** One Redis with a replica, at an address that can move. */
export async function startOneRedis(): Promise<HistoryStore> {
  let primary = await startRedis({ args: DURABLE });
  let replica = await startRedis({ args: [...DURABLE, "--replicaof", "127.0.0.1", String(primary.port)] });
  await primary.cli("SET", registryKeys(false).epoch, OLD_EPOCH);
  const relays: FaultRelay[] = [];
  const restart = async () => {
    const { port, dir } = primary;
    await primary.stop("SIGKILL");
    primary = await startRedis({ port, dir, args: DURABLE });
  };
  /** Promotes the replica and leads new connections to it; open connections stay. */
  const moveAddress = async () => {
    await inSync(primary);
    await primary.cli("FAILOVER", "TO", "127.0.0.1", String(replica.port), "TIMEOUT", "5000");
    await until(async () => (await replica.cli("ROLE")).startsWith("master"));
    [primary, replica] = [replica, primary];
    for (const relay of relays) relay.leadNewTo(primary.port);
  };
  return {
    splitMs: 0,
    async reach() {
      const relay = await startFaultRelay(primary.port);
      relays.push(relay);
      return { env: { REDIS_URL: urlBy(relay.port) }, way: wayOf([relay]) };
    },
    faults: [
      { name: "Redis is killed and started again", run: restart },
      { name: "the address of Redis moves to its replica", run: moveAddress },
      {
        name: "Redis loses all",
        async run(_ms, history) {
          // All instances are running and connected, and have applied what was acknowledged before this call.
          await pause(KNOWN_TO_ALL_MS);
          const beforeMs = performance.now() - KNOWN_TO_ALL_MS;
          const noteLoss = (untilMs: number) => {
            for (const key of history.keys) {
              for (const change of key.ends) if (change.ackedMs > beforeMs) change.isCertain = false;
              if (key.sentMs <= untilMs) key.isRecordLost = true;
            }
          };
          // A Check can find the loss before the reply of FLUSHALL is read here.
          noteLoss(performance.now());
          await primary.cli("FLUSHALL");
          noteLoss(performance.now());
          history.names.length = 0;
        },
      },
    ],
    async stop() {
      await Promise.all([primary.stop("SIGKILL"), replica.stop("SIGKILL")]);
    },
  };
}

/** Until the replica has all writes of the primary. */
async function inSync(primary: TestedRedis): Promise<void> {
  await until(async () => (await primary.cli("WAIT", "1", "1000")) !== "0");
}
