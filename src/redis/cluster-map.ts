import { setTimeout as pause } from "node:timers/promises";
import type { HostPort } from "../config/host-port.ts";
import { formatHostPort, isHost } from "../config/host-port.ts";
import { SLOTS } from "./hash-slot.ts";
import type { OneShotOptions } from "./one-shot.ts";
import { askOnce } from "./one-shot.ts";
import { RedisUnavailable, toClusterUnavailable } from "./redis-error.ts";

/** Which node serves which slot, as one node of the Cluster knows it. */
export interface ClusterMap {
  /** Undefined if the slot is assigned to no node. */
  primaryOf(slot: number): HostPort | undefined;
  readonly primaries: readonly HostPort[];
  /** The ids of all nodes that serve slots, and of their replicas. */
  readonly nodeIds: ReadonlySet<string>;
  /** The number of slots that are assigned to no node, or to one that the Cluster holds for failed. */
  readonly uncoveredSlots: number;
  /** Whether the node that named this map reaches a majority and takes commands. */
  readonly isUp: boolean;
  /** Grows with every failover. */
  readonly epoch: number;
}

export interface ClusterOptions extends OneShotOptions {
  readonly seeds: readonly HostPort[];
  /** By the address that a node names, as `host:port`: the address to connect to. */
  readonly natMap?: ReadonlyMap<string, HostPort>;
}

/** Nodes that are asked at the same time. More of them would hardly know more. */
const MAX_ASKED = 3;
/** Once one node has responded, the others have this long. */
const GRACE_MS = 100;

/**
 * Asks some of the seeds and of the known primaries for the map, on a new connection each, and then the others if none of
 * these responds. Resolves with the newest one of those that arrive within 100 ms after the first. A node that is cut off
 * from the majority is thus outvoted, and so is one of another Cluster that now has the address of a former node.
 */
export async function findClusterMap(options: ClusterOptions, known?: ClusterMap): Promise<ClusterMap> {
  const nodes = nodesToAsk(options, known);
  const [some, others] = [nodes.slice(0, MAX_ASKED), nodes.slice(MAX_ASKED)];
  try {
    return await newestMap(some, options, known);
  } catch (error) {
    if (others.length === 0) throw error;
    return newestMap(others, options, known);
  }
}

async function newestMap(
  nodes: readonly HostPort[],
  options: ClusterOptions,
  known: ClusterMap | undefined,
): Promise<ClusterMap> {
  const maps: ClusterMap[] = [];
  const first = Promise.withResolvers<void>();
  const asked = nodes.map(async (node) => {
    try {
      maps.push(await askNode(node, options));
      first.resolve();
      return undefined;
    } catch (error) {
      return toClusterUnavailable(error, formatHostPort(node));
    }
  });
  const all = Promise.all(asked);
  const cancelled = new AbortController();
  const grace = first.promise.then(() => pause(GRACE_MS, undefined, { signal: cancelled.signal }));
  grace.catch(() => undefined);
  await Promise.race([all, grace]);
  cancelled.abort();
  const isSame = (map: ClusterMap) => Number(known === undefined || shareNodes(map, known));
  const [newest] = maps.toSorted(
    (a, b) => isSame(b) - isSame(a) || Number(b.isUp) - Number(a.isUp) || b.epoch - a.epoch,
  );
  return newest ?? Promise.reject(noMap((await all).filter((fault) => fault !== undefined)));
}

function shareNodes(one: ClusterMap, other: ClusterMap): boolean {
  return !one.nodeIds.isDisjointFrom(other.nodeIds);
}

/**
 * Rejects unless every seed that responds belongs to the same Cluster. A list with another server is a mistake, and would show
 * only when the right ones fail.
 */
export async function verifySeeds(options: ClusterOptions): Promise<void> {
  const maps: (readonly [address: string, ClusterMap])[] = [];
  for (const seed of options.seeds) {
    const address = formatHostPort(seed);
    try {
      maps.push([address, await askNode(seed, options)]);
    } catch (error) {
      const fault = toClusterUnavailable(error, address);
      if (fault.rejectedSetting !== undefined) throw fault;
    }
  }
  // A node that was never joined serves no slots, and is alone.
  const [first, ...others] = maps;
  const foreign = first && others.find(([, map]) => !shareNodes(map, first[1]));
  if (first === undefined || foreign === undefined) return;
  throw new RedisUnavailable("reply", "the seeds belong to different Clusters", {
    rejectedSetting: `REDIS_URL or REDIS_HOST: ${first[0]} and ${foreign[0]} belong to different Clusters; name nodes of one Cluster only`,
    cause: undefined,
  });
}

/** In random order, so that not all instances ask the same nodes. */
function nodesToAsk({ seeds }: ClusterOptions, known: ClusterMap | undefined): readonly HostPort[] {
  const nodes = new Map([...seeds, ...(known?.primaries ?? [])].map((node) => [formatHostPort(node), node]));
  return [...nodes.values()]
    .map((node) => [Math.random(), node] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, node]) => node);
}

async function askNode(node: HostPort, options: ClusterOptions): Promise<ClusterMap> {
  const commands = [
    ["INFO", "server"],
    ["CLUSTER", "INFO"],
    ["CLUSTER", "SLOTS"],
  ] as const;
  const [server, info, slots] = await askOnce(node, options, commands);
  // Its ACL may not know the commands of a Cluster.
  const mode = /^redis_mode:(\S+)/m.exec(String(server))?.[1] ?? "cluster";
  if (mode !== "cluster") throw notOfACluster(node);
  for (const reply of [info, slots]) if (reply instanceof Error) throw reply;
  const number = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(String(info))?.[1] ?? 0);
  const ranges = readRanges(slots, node, options.natMap);
  return {
    primaryOf: createLookup(ranges),
    primaries: [...new Map(ranges.map(({ primary }) => [formatHostPort(primary), primary])).values()],
    nodeIds: new Set(ranges.flatMap(({ nodeIds }) => nodeIds)),
    uncoveredSlots: SLOTS - number("cluster_slots_assigned") + number("cluster_slots_fail"),
    isUp: /^cluster_state:ok/m.test(String(info)),
    epoch: number("cluster_current_epoch"),
  };
}

function notOfACluster(node: HostPort): RedisUnavailable {
  const address = formatHostPort(node);
  return new RedisUnavailable("reply", "it does not belong to a Cluster", {
    rejectedSetting: `REDIS_URL or REDIS_HOST: ${address} does not belong to a Cluster (cluster-enabled); name nodes of one Cluster only`,
    cause: undefined,
  });
}

interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly primary: HostPort;
  readonly nodeIds: readonly string[];
}

function createLookup(ranges: readonly SlotRange[]): ClusterMap["primaryOf"] {
  const bySlot: (HostPort | undefined)[] = Array.from({ length: SLOTS });
  for (const { first, last, primary } of ranges) bySlot.fill(primary, first, last + 1);
  return (slot) => bySlot[slot];
}

/** The reply of `CLUSTER SLOTS`: for each range its bounds, then its primary, then its replicas. */
function readRanges(reply: unknown, asked: HostPort, natMap: ClusterOptions["natMap"]): readonly SlotRange[] {
  if (!Array.isArray(reply)) throw malformed(asked);
  return reply.map((range) => {
    const [first, last, ...nodes]: readonly unknown[] = Array.isArray(range) ? range : [];
    const [[host, port, id] = [], ...replicas] = nodes.map((node): readonly unknown[] =>
      Array.isArray(node) ? node : [],
    );
    const primary = toAddress(host, port, asked);
    if (!isSlot(first) || !isSlot(last) || primary === undefined) throw malformed(asked);
    const nodeIds = [[host, port, id], ...replicas].map(([, , nodeId]) => String(nodeId));
    return { first, last, primary: outside(primary, natMap), nodeIds };
  });
}

function isSlot(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < SLOTS;
}

/** A node that does not know its own address names none: it is the one that was asked. */
function toAddress(host: unknown, port: unknown, asked: HostPort): HostPort | undefined {
  const name = host === null || host === "" || host === "?" ? asked.host : host;
  const isPort = Number.isInteger(port) && Number(port) >= 1 && Number(port) <= 65_535;
  return typeof name === "string" && isHost(name) && isPort ? { host: name, port: Number(port) } : undefined;
}

/** Where a redirection leads. `MOVED 866 ::1:7001` has no brackets; an empty host is that of the node that sent it. */
export function readRedirection(
  error: RedisUnavailable,
  from: HostPort,
  natMap: ClusterOptions["natMap"],
): HostPort | undefined {
  const [, host, port] = /\b(?:MOVED|ASK) \d{1,5} (\S*):(\d{1,5})$/.exec(error.message) ?? [];
  const address = toAddress(host, Number(port), from);
  return address && outside(address, natMap);
}

function outside(address: HostPort, natMap: ClusterOptions["natMap"]): HostPort {
  return natMap?.get(formatHostPort(address)) ?? address;
}

function malformed(node: HostPort): RedisUnavailable {
  const problem = `the node ${formatHostPort(node)} of the Cluster sent a map that cannot be read`;
  return new RedisUnavailable("reply", problem, { cause: undefined });
}

/** A setting that nodes reject is permanent. */
function noMap(faults: readonly RedisUnavailable[]): RedisUnavailable {
  const rejected = faults.find(({ rejectedSetting }) => rejectedSetting !== undefined);
  if (rejected !== undefined) return rejected;
  const described = faults.map(({ message }) => message).join("; ");
  return new RedisUnavailable("connection", `no node of the Cluster responds: ${described}`, {
    cause: faults[0],
  });
}
