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

/** Nodes that are asked, beside the seeds. More of them would hardly know more. */
const MAX_KNOWN = 5;
/** Once one node has responded, the others have this long. */
const GRACE_MS = 100;

/**
 * Asks the seeds and some known nodes for the map, on a new connection each. Resolves with the newest one of those that arrive
 * within 100 ms after the first. A node that is cut off from the majority is thus outvoted.
 */
export async function findClusterMap(
  options: ClusterOptions,
  known: readonly HostPort[] = [],
): Promise<ClusterMap> {
  const maps: ClusterMap[] = [];
  const first = Promise.withResolvers<void>();
  const asked = nodesToAsk(options, known).map(async (node) => {
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
  const [newest] = maps.toSorted((a, b) => Number(b.isUp) - Number(a.isUp) || b.epoch - a.epoch);
  return newest ?? Promise.reject(noMap((await all).filter((fault) => fault !== undefined)));
}

/**
 * Rejects unless every seed that responds belongs to a Cluster. A list with another kind of server is a mistake, and would
 * show only when the right ones fail.
 */
export async function verifySeeds(options: ClusterOptions): Promise<void> {
  const faults = await Promise.all(
    options.seeds.map((seed) =>
      askNode(seed, options).then(
        () => undefined,
        (error: unknown) => toClusterUnavailable(error, formatHostPort(seed)),
      ),
    ),
  );
  const rejected = faults.find((fault) => fault?.rejectedSetting !== undefined);
  if (rejected !== undefined) throw rejected;
}

function nodesToAsk({ seeds }: ClusterOptions, known: readonly HostPort[]): readonly HostPort[] {
  const nodes = [...seeds, ...known.slice(0, MAX_KNOWN)];
  return [...new Map(nodes.map((node) => [formatHostPort(node), node])).values()];
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
    const [first, last, node]: readonly unknown[] = Array.isArray(range) ? range : [];
    const [host, port]: readonly unknown[] = Array.isArray(node) ? node : [];
    const primary = toAddress(host, port, asked);
    if (!isSlot(first) || !isSlot(last) || primary === undefined) throw malformed(asked);
    return { first, last, primary: outside(primary, natMap) };
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
