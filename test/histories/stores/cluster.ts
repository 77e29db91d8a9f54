import { setTimeout as pause } from "node:timers/promises";
import { SLOTS } from "../../../src/redis/hash-slot.ts";
import { registryKeys } from "../../../src/redis/names.ts";
import { clusterUrl, REGISTRY_SLOT, startCluster } from "../../support/cluster.ts";
import { startFaultRelay } from "../../support/fault-relay.ts";
import type { Random } from "../random.ts";
import type { HistoryStore } from "./store.ts";
import { OLD_EPOCH, until, wayOf } from "./store.ts";

/** A primary that is cut off fences itself after `cluster-node-timeout`. The rest is for a busy machine. */
const SPLIT_MS = 4000;

/** Three primaries with a replica each. The replica of the registry's node has what was acknowledged. */
export async function startClusterStore(): Promise<HistoryStore> {
  const setup = await startCluster();
  await (await setup.primaryOf(REGISTRY_SLOT)).cli("SET", registryKeys(true).epoch, OLD_EPOCH);
  const slots = [
    REGISTRY_SLOT,
    ...[1, 2].map((third) => (REGISTRY_SLOT + Math.floor((third * SLOTS) / 3)) % SLOTS),
  ];
  /** Of the registry in half of the cases, and else of a node that holds buckets alone. */
  const anySlot = (random: Random) => (random.below(2) === 0 ? REGISTRY_SLOT : random.pick(slots));
  const whole = () => until(() => setup.whole().then(() => true));
  const rejoin = async (port: number, slot: number) => {
    await until(() => setup.rejoin(port, slot).then(() => true));
  };
  return {
    splitMs: SPLIT_MS,
    async reach() {
      const nodes = [...setup.nodes.keys()];
      const relays = await Promise.all(nodes.map(startFaultRelay));
      const natMap = nodes.map((port, at) => `127.0.0.1:${port}=127.0.0.1:${relays[at]?.port}`).join(",");
      const seeds = clusterUrl(relays.slice(0, 3).map(({ port }) => port));
      return {
        env: { REDIS_URL: seeds, REDIS_NAT_MAP: natMap, REDIS_WAIT_REPLICAS: "1" },
        way: wayOf(
          relays,
          relays.filter((_, at) => at % 2 === 0),
        ),
      };
    },
    faults: [
      {
        name: "a primary is killed",
        async run(_ms, { random }) {
          const slot = anySlot(random);
          const { port, stop } = await setup.primaryOf(slot);
          await stop("SIGKILL");
          await until(async () => (await setup.failedOver(slot, port)).port !== port);
          await rejoin(port, slot);
        },
      },
      {
        name: "a primary is killed, and its successor too",
        async run(_ms, { random }) {
          const slot = anySlot(random);
          const first = await setup.primaryOf(slot);
          await first.stop("SIGKILL");
          const second = await setup.failedOver(slot, first.port);
          await rejoin(first.port, slot);
          await second.stop("SIGKILL");
          await until(async () => (await setup.failedOver(slot, second.port)).port !== second.port);
          await rejoin(second.port, slot);
        },
      },
      {
        name: "a primary is stopped for a while",
        async run(ms, { random }) {
          const { pid } = await setup.primaryOf(anySlot(random));
          process.kill(pid, "SIGSTOP");
          await pause(ms);
          process.kill(pid, "SIGCONT");
          await whole();
        },
      },
      {
        name: "an operator fails over",
        async run(_ms, { random }) {
          const slot = anySlot(random);
          const { port } = await setup.primaryOf(slot);
          await setup.failOver(port);
          await setup.failedOver(slot, port);
          await whole();
        },
      },
    ],
    stop: setup.stop,
  };
}
