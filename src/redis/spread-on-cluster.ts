import { createHash } from "node:crypto";
import type { HostPort } from "../config/host-port.ts";
import { formatHostPort } from "../config/host-port.ts";
import type { RedisAddress } from "../config/redis-url.ts";
import { withTimeout } from "../core/timeout.ts";
import { probeCommands } from "./acl-probe.ts";
import type { RedisArgument, RedisClient, RedisOptions, RedisScript } from "./client.ts";
import type { ClusterMap } from "./cluster-map.ts";
import { findClusterMap, readRedirection, verifySeeds } from "./cluster-map.ts";
import type { ClusterNodes } from "./cluster-nodes.ts";
import { createClusterNodes } from "./cluster-nodes.ts";
import { observed } from "./command-observer.ts";
import { hashSlot } from "./hash-slot.ts";
import { spreadKeys } from "./names.ts";
import { RedisUnavailable, timedOut, toRedisUnavailable } from "./redis-error.ts";
import type { SlotTable } from "./slot-table.ts";
import { createSlotTable, formatServer } from "./slot-table.ts";
import type { SpreadClient } from "./spread-client.ts";
import { scanNames } from "./spread-client.ts";
import { clusterOptions } from "./topology.ts";

export interface SpreadOptions extends Omit<RedisOptions, "url" | "node" | "server"> {
  readonly seeds: readonly HostPort[];
  /** Names what the probe of the ACL writes. */
  readonly instanceId: string;
  /** Only reads, so it tests no permission to write. */
  readonly isReader?: boolean;
  /** Called with each map of the Cluster. */
  readonly onMap: (map: ClusterMap) => void;
}

export interface ClusterSpread extends SpreadClient {
  /** Reads the map of the Cluster. Failed commands cause this too. Rejects if no node responds. */
  refresh(): Promise<void>;
  finishStartup(): void;
  close(): Promise<void>;
}

type Command = readonly [name: string, ...args: RedisArgument[]];

/** A slot moves once; a longer chain is a Cluster whose nodes disagree. */
const MAX_REDIRECTIONS = 4;
/** Enough to find one even for a node with a few slots. */
const MAX_SUBJECTS = 100_000;
/** For each node that is asked for the map. */
const MAP_TIMEOUT_MS = 600;

/**
 * Connects to all primaries of a Cluster. Rejects if some slot has none. The cluster client of ioredis is not used: by
 * default it resends commands whose connection was closed, to any node, and it sets up its connections in a way that
 * session.ts avoids.
 */
export async function connectSpread(options: SpreadOptions): Promise<ClusterSpread> {
  const asked = clusterOptions(options, options.seeds, MAP_TIMEOUT_MS);
  await verifySeeds(asked);
  const spread = createSpread(options, await findClusterMap(asked));
  try {
    await spread.connectAll();
  } catch (error) {
    await spread.close();
    throw error;
  }
  return spread;
}

function createSpread(options: SpreadOptions, first: ClusterMap) {
  const { seeds, onMap, observe, instanceId, isReader, ...place } = options;
  const asked = clusterOptions(options, seeds, MAP_TIMEOUT_MS);
  const nodes = createClusterNodes({ ...place, seeds });
  const slots = createSlotTable(asked, first, (map) => {
    nodes.keep(map.primaries);
    onMap(map);
  });
  const deliver = createDelivery({ ...options, slots, nodes, natMap: asked.natMap });
  return {
    keys: spreadKeys(true),
    slotOf: hashSlot,
    serverOf: (key: string) => formatServer(slots.primaryOf(hashSlot(key))),
    historyOf(key: string) {
      const primary = slots.primaryOf(hashSlot(key));
      return `${formatServer(primary)} ${primary ? nodes.generation(primary) : 0} ${slots.epoch()}`;
    },
    commandAt: (key: string, ...command: Command) =>
      observed(observe, command[0], () => deliver(hashSlot(key), command)),
    script(source: string, name = "script"): RedisScript {
      const run = createScriptDelivery(source, deliver, options);
      return (keys, args) => observed(observe, name, () => run(keys, args));
    },
    async *scan(pattern: string) {
      await slots.refresh();
      for (const primary of slots.primaries()) yield* scanNames(await nodes.connected(primary), pattern);
    },
    refresh: slots.refresh,
    async connectAll() {
      if (first.uncoveredSlots > 0) throw notWhole(first);
      await Promise.all(
        first.primaries.map(async (primary) => {
          const client = await nodes.connected(primary);
          if (isReader) return;
          const subject = subjectOn(first, primary, instanceId);
          if (subject === undefined) return;
          await probeCommands(client, { key: (part) => spreadKeys(true).probe(subject, part) });
        }),
      );
    },
    finishStartup: nodes.finishStartup,
    close: nodes.close,
  };
}

/** A subject whose slot is on this node. It is usually found after as many attempts as there are nodes. */
function subjectOn(map: ClusterMap, node: HostPort, instanceId: string): string | undefined {
  for (let at = 0; at < MAX_SUBJECTS; at++) {
    const subject = `${instanceId}.${at}`;
    if (formatServer(map.primaryOf(hashSlot(`{${subject}}`))) === formatHostPort(node)) return subject;
  }
  return undefined;
}

function notWhole({ uncoveredSlots }: ClusterMap): RedisUnavailable {
  const problem = `${uncoveredSlots} slots of the Cluster have no primary that works`;
  return new RedisUnavailable("connection", `${problem}: look at CLUSTER INFO and CLUSTER NODES`, {
    cause: undefined,
  });
}

function createScriptDelivery(
  source: string,
  deliver: Delivery,
  { commandTimeoutMs }: Pick<DeliveryDeps, "commandTimeoutMs">,
): RedisScript {
  const sha = createHash("sha1").update(source).digest("hex");
  return async (keys, args) => {
    const slot = hashSlot(keys[0] ?? "");
    const rest = [keys.length, ...keys, ...args] as const;
    const deadlineMs = performance.now() + commandTimeoutMs;
    try {
      return await deliver(slot, ["EVALSHA", sha, ...rest]);
    } catch (error) {
      // The script has not run: this node does not know it yet.
      if (!(error instanceof RedisUnavailable && error.code === "NOSCRIPT")) throw error;
      return deliver(slot, ["EVAL", source, ...rest], deadlineMs);
    }
  };
}

interface DeliveryDeps {
  readonly slots: SlotTable;
  readonly nodes: ClusterNodes;
  readonly natMap: RedisAddress["natMap"];
  readonly commandTimeoutMs: number;
}

/** @param endsMs monotonic time: the command is the second attempt of a call that ends then */
type Delivery = (slot: number, command: Command, endsMs?: number) => Promise<unknown>;

/**
 * Sends a command to the node of its slot, and follows redirections within the timeout of one command. A node that redirects
 * has not run the command. After any other failure it may have run, so it is not sent again.
 */
function createDelivery({ slots, nodes, natMap, commandTimeoutMs }: DeliveryDeps): Delivery {
  return async (slot, command, endsMs) => {
    const deadlineMs = endsMs ?? performance.now() + commandTimeoutMs;
    let target = slots.primaryOf(slot);
    let isAsking = false;
    for (let sent = 0; target !== undefined; sent++) {
      const from: HostPort = target;
      try {
        const client = await before(deadlineMs, nodes.connected(from));
        const reply = send(client, command, isAsking);
        // The connection ends the first command by its own timeout, which is longer during the start.
        return await (sent === 0 && endsMs === undefined ? reply : before(deadlineMs, reply));
      } catch (raw) {
        const error = toRedisUnavailable(raw);
        const isRedirection = error.code === "MOVED" || error.code === "ASK";
        target = isRedirection ? readRedirection(error, from, natMap) : undefined;
        if (error.code !== "ASK" && error.code !== "NOSCRIPT") slots.refreshSoon();
        if (target === undefined || sent >= MAX_REDIRECTIONS || performance.now() > deadlineMs) throw error;
        isAsking = error.code === "ASK";
        if (!isAsking) slots.move(slot, target);
      }
    }
    slots.refreshSoon();
    throw new RedisUnavailable("connection", `no node of the Cluster serves slot ${slot}`, {
      cause: undefined,
    });
  };
}

/** `ASKING` applies to the next command of its connection, so both are sent in the same turn. */
async function send(client: RedisClient, command: Command, isAsking: boolean): Promise<unknown> {
  const replies = await client.commands(isAsking ? [["ASKING"], command] : [command]);
  return replies.at(-1);
}

/** Neither a connection that is still being made nor a second command may hold a Check beyond its timeout. */
function before<Value>(deadlineMs: number, promise: Promise<Value>): Promise<Value> {
  const waitMs = Math.max(0, deadlineMs - performance.now());
  return withTimeout(promise, waitMs, () => {
    throw timedOut("the node of the Cluster");
  });
}
