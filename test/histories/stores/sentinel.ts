import { setTimeout as pause } from "node:timers/promises";
import { registryKeys } from "../../../src/redis/names.ts";
import { startFaultRelay } from "../../support/fault-relay.ts";
import { FENCE, MASTER, sentinelUrl, startSentinelSetup } from "../../support/sentinel.ts";
import type { HistoryStore } from "./store.ts";
import { OLD_EPOCH, until, wayOf } from "./store.ts";

/** A primary that lost its replicas counts as good for `min-replicas-max-lag`, in whole seconds, and is asked a second later. */
const SPLIT_MS = 4000;

/** A primary, two replicas and three Sentinels. Both replicas have what was acknowledged. */
export async function startSentinelStore(): Promise<HistoryStore> {
  const setup = await startSentinelSetup({ redisArgs: FENCE });
  const primary = async () => {
    const node = setup.nodes.get(await setup.primaryPort());
    if (node === undefined) throw new Error("Sentinel names an unknown primary");
    return node;
  };
  await (await primary()).cli("SET", registryKeys(false).epoch, OLD_EPOCH);
  /** Makes the node a replica of the present primary, if it is another one. */
  const rejoin = (port: number) =>
    until(async () => {
      if (port !== (await setup.primaryPort())) await setup.rejoin(port);
      await setup.replicated();
      return true;
    });
  return {
    splitMs: SPLIT_MS,
    async reach() {
      const nodes = [...setup.nodes.keys()];
      const ways = await Promise.all(nodes.map(startFaultRelay));
      const asked = await Promise.all(setup.sentinels.map(({ port }) => startFaultRelay(port)));
      const natMap = nodes.map((port, at) => `127.0.0.1:${port}=127.0.0.1:${ways[at]?.port}`).join(",");
      const env = {
        REDIS_URL: sentinelUrl(asked.map(({ port }) => port)),
        REDIS_NAT_MAP: natMap,
        REDIS_WAIT_REPLICAS: "2",
      };
      return { env, way: wayOf([...ways, ...asked], asked) };
    },
    faults: [
      {
        name: "the primary is killed",
        async run() {
          const { port, stop } = await primary();
          await stop("SIGKILL");
          await until(async () => (await setup.failedOver(port)) !== port);
          await rejoin(port);
        },
      },
      {
        name: "the primary is killed, and its successor too",
        async run() {
          const first = await primary();
          await first.stop("SIGKILL");
          const second = await setup.failedOver(first.port);
          await rejoin(first.port);
          await setup.nodes.get(second)?.stop("SIGKILL");
          await until(async () => (await setup.failedOver(second)) !== second);
          await rejoin(second);
        },
      },
      {
        name: "the primary is stopped for a while",
        async run(ms) {
          const { port, pid } = await primary();
          process.kill(pid, "SIGSTOP");
          await pause(ms);
          process.kill(pid, "SIGCONT");
          await rejoin(port);
        },
      },
      {
        name: "an operator fails over",
        async run() {
          const { port } = await primary();
          // It is rejected soon after another failover.
          await setup.sentinels[0]?.cli("SENTINEL", "FAILOVER", MASTER);
          await setup.failedOver(port, 10_000).catch(() => undefined);
          await rejoin(port);
        },
      },
    ],
    stop: setup.stop,
  };
}
