import { expect, vi } from "vitest";
import { hashSlot } from "../../src/redis/hash-slot.ts";
import { registryKeys } from "../../src/redis/names.ts";
import type { RedisOptions, TestedRedis } from "./redis.ts";
import { freePort, startRedis, urlBy } from "./redis.ts";

const WAIT = { timeout: 60_000, interval: 50 };
const LAST_SLOT = 16_383;
const PRIMARIES = 3;
const NODE_TIMEOUT_MS = 500;
/** Replicas follow at once, and take over even if their primary has been away for long. */
const NODE_ARGS = [
  ...["--cluster-enabled", "yes", "--cluster-node-timeout", String(NODE_TIMEOUT_MS)],
  ...["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"],
  ...["--cluster-replica-validity-factor", "0"],
];

export const REGISTRY_SLOT = hashSlot(registryKeys(true).epoch);

/** A Cluster of three primaries with a replica each, on free ports of loopback. */
export interface ClusterSetup {
  /** The nodes by port, also those that have ended. */
  readonly nodes: Map<number, TestedRedis>;
  /** With the credentials of the shipped user, and some nodes as seeds. */
  readonly url: string;
  /** The node that serves a slot, as a majority of the nodes that run says. */
  primaryOf(slot: number): Promise<TestedRedis>;
  /** The ports of the replicas of a primary that run. */
  replicasOf(port: number): Promise<readonly number[]>;
  primaries(): Promise<readonly TestedRedis[]>;
  /** Runs the command on every node that runs. */
  onAll(...args: readonly string[]): Promise<void>;
  /** Makes the only running replica of this primary the primary, as an operator does. */
  failOver(port: number): Promise<void>;
  /** Resolves with the new primary of the slot once a majority names another one than this. */
  failedOver(slot: number, from: number, timeoutMs?: number): Promise<TestedRedis>;
  /** Starts a node that has ended, with its place in the Cluster and without its data. */
  restart(port: number): Promise<void>;
  /** The number of failovers of all primaries, as the newest epoch shows it. */
  failovers(): Promise<number>;
  /** Starts a node that has ended. Resolves once it follows the primary of the slot and all agree. */
  rejoin(port: number, slot: number): Promise<void>;
  /** Resolves once all nodes that run agree that the Cluster is whole. */
  whole(): Promise<void>;
  /** Moves a slot with all its keys, as `redis-cli --cluster reshard` does. */
  moveSlot(slot: number, to: TestedRedis): Promise<void>;
  stop(): Promise<void>;
}

/** One node that serves all slots. */
export async function startClusterNode(options: RedisOptions = {}): Promise<TestedRedis> {
  const busPort = String(await freePort());
  const args = [...NODE_ARGS, "--cluster-port", busPort, ...(options.args ?? [])];
  const node = await startRedis({ ...options, args });
  await node.cli("CLUSTER", "ADDSLOTSRANGE", "0", String(LAST_SLOT));
  await vi.waitFor(async () => expect(await node.cli("CLUSTER", "INFO")).toContain("cluster_state:ok"), WAIT);
  return {
    ...node,
    url: clusterUrl([node.port]),
    adminUrl: node.adminUrl.replace("redis:", "redis+cluster:"),
  };
}

export async function startCluster(redisArgs: readonly string[] = []): Promise<ClusterSetup> {
  const nodes = new Map<number, TestedRedis>();
  const busPorts = new Map<number, string>();
  const start = async (port: number, dir?: string) => {
    const busPort = busPorts.get(port) ?? String(await freePort());
    busPorts.set(port, busPort);
    const args = [...NODE_ARGS, "--cluster-port", busPort, ...redisArgs];
    const node = await startRedis({ port, args, ...(dir !== undefined && { dir }) });
    nodes.set(port, node);
    return node;
  };
  const started: TestedRedis[] = [];
  for (let at = 0; at < 2 * PRIMARIES; at++) started.push(await start(await freePort()));
  await join(started, busPorts);
  const setup = createSetup(nodes, start);
  await setup.whole();
  return setup;
}

async function join(nodes: readonly TestedRedis[], busPorts: ReadonlyMap<number, string>): Promise<void> {
  const [first, ...others] = nodes;
  for (const { port } of others)
    await first?.cli("CLUSTER", "MEET", "127.0.0.1", String(port), busPorts.get(port) ?? "");
  const share = Math.ceil((LAST_SLOT + 1) / PRIMARIES);
  const primaries = nodes.slice(0, PRIMARIES);
  for (const [at, node] of primaries.entries()) {
    const range = [at * share, Math.min(LAST_SLOT, (at + 1) * share - 1)].map(String);
    await node.cli("CLUSTER", "ADDSLOTSRANGE", ...range);
    // Two nodes with the same epoch would first have to settle which of them has the newer one.
    await node.cli("CLUSTER", "SET-CONFIG-EPOCH", String(at + 1)).catch(() => undefined);
  }
  for (const [at, node] of nodes.slice(PRIMARIES).entries()) {
    const id = await primaries[at]?.cli("CLUSTER", "MYID");
    await vi.waitFor(() => node.cli("CLUSTER", "REPLICATE", id ?? "").then(expectOk), WAIT);
  }
}

function expectOk(reply: string): void {
  expect(reply).toBe("OK");
}

function createSetup(
  nodes: Map<number, TestedRedis>,
  start: (port: number, dir?: string) => Promise<TestedRedis>,
): ClusterSetup {
  const running = () => [...nodes.values()].filter(isRunning);
  const primaryOf = (slot: number) => named(nodes, running(), slot);
  const setup: ClusterSetup = {
    nodes,
    url: clusterUrl([...nodes.keys()].slice(0, PRIMARIES)),
    primaryOf,
    async primaries() {
      const found = await Promise.all(running().map(async (node) => [node, await roleOf(node)] as const));
      return found.filter(([, role]) => role === "master").map(([node]) => node);
    },
    async replicasOf(port) {
      const found = await Promise.all(
        running().map(async (node) => [node.port, await node.cli("INFO", "replication")] as const),
      );
      return found.filter(([, info]) => info.includes(`master_port:${port}\r`)).map(([own]) => own);
    },
    async onAll(...args) {
      await Promise.all(running().map((node) => node.cli(...args)));
    },
    async failOver(port) {
      const [replica = 0] = await setup.replicasOf(port);
      await vi.waitFor(() => nodes.get(replica)?.cli("CLUSTER", "FAILOVER").then(expectOk), WAIT);
    },
    async failedOver(slot, from, timeout = WAIT.timeout) {
      return vi.waitFor(
        async () => {
          const node = await primaryOf(slot);
          if (node.port === from || (await roleOf(node)) !== "master") throw new Error("not yet");
          return node;
        },
        { ...WAIT, timeout },
      );
    },
    async restart(port) {
      await start(port, nodes.get(port)?.dir);
    },
    async failovers() {
      const infos = await Promise.all(running().map((node) => node.cli("CLUSTER", "INFO")));
      return Math.max(...infos.map((info) => Number(/cluster_current_epoch:(\d+)/.exec(info)?.[1])));
    },
    async rejoin(port, slot) {
      const node = nodes.get(port);
      if (node !== undefined && !isRunning(node)) await setup.restart(port);
      await vi.waitFor(async () => {
        const info = (await nodes.get(port)?.cli("INFO", "replication")) ?? "";
        expect(info).toContain(`master_port:${(await primaryOf(slot)).port}`);
        expect(info).toContain("master_link_status:up");
      }, WAIT);
      await setup.whole();
    },
    whole: () => vi.waitFor(() => expectWhole(running()), WAIT),
    moveSlot: (slot, to) => moveSlot(setup, slot, to),
    async stop() {
      await Promise.all([...nodes.values()].map((node) => node.stop("SIGKILL")));
    },
  };
  return setup;
}

const ended = new WeakSet<Promise<unknown>>();
function isRunning({ exited }: TestedRedis): boolean {
  exited.then(() => ended.add(exited));
  return !ended.has(exited);
}

async function roleOf(node: TestedRedis): Promise<string | undefined> {
  return /role:(\w+)/.exec(await node.cli("INFO", "replication"))?.[1];
}

async function named(
  nodes: ReadonlyMap<number, TestedRedis>,
  asked: readonly TestedRedis[],
  slot: number,
): Promise<TestedRedis> {
  const ports = await Promise.all(asked.map((node) => namedBy(node, slot)));
  const port = ports.find((one) => ports.filter((other) => other === one).length > ports.length / 2);
  const node = nodes.get(port ?? 0);
  if (node === undefined) throw new Error(`no majority names the primary of slot ${slot}: ${ports}`);
  return node;
}

async function namedBy(node: TestedRedis, slot: number): Promise<number | undefined> {
  for (const line of (await node.cli("CLUSTER", "NODES")).split("\n")) {
    const [, address = "", flags = "", , , , , , ...ranges] = line.split(" ");
    const serves = ranges.some((range) => {
      const [first = "", last = first] = range.split("-");
      return /^\d+$/.test(first) && Number(first) <= slot && slot <= Number(last);
    });
    if (flags.includes("master") && serves) return Number(/:(\d+)@/.exec(address)?.[1]);
  }
  return undefined;
}

async function expectWhole(nodes: readonly TestedRedis[]): Promise<void> {
  for (const node of nodes) {
    const info = await node.cli("CLUSTER", "INFO");
    expect(info).toContain("cluster_state:ok");
    expect(info).toContain(`cluster_slots_ok:${LAST_SLOT + 1}`);
    expect(await node.cli("CLUSTER", "NODES")).not.toMatch(/fail|handshake/);
    const replication = await node.cli("INFO", "replication");
    if (replication.includes("role:slave")) expect(replication).toContain("master_link_status:up");
  }
}

async function moveSlot(setup: ClusterSetup, slot: number, to: TestedRedis): Promise<void> {
  const from = await setup.primaryOf(slot);
  if (from.port === to.port) return;
  const [fromId, toId] = await Promise.all([from.cli("CLUSTER", "MYID"), to.cli("CLUSTER", "MYID")]);
  await to.cli("CLUSTER", "SETSLOT", String(slot), "IMPORTING", fromId);
  await from.cli("CLUSTER", "SETSLOT", String(slot), "MIGRATING", toId);
  for (;;) {
    const keys = (await from.cli("CLUSTER", "GETKEYSINSLOT", String(slot), "5")).split("\n").filter(Boolean);
    if (keys.length === 0) break;
    await from.cli("MIGRATE", "127.0.0.1", String(to.port), "", "0", "5000", "KEYS", ...keys);
  }
  for (const node of [to, from, ...(await setup.primaries())])
    await node.cli("CLUSTER", "SETSLOT", String(slot), "NODE", toId);
}

/** `redis+cluster://` with the credentials of the shipped user. */
export function clusterUrl(ports: readonly number[]): string {
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(",");
  const credentials = /\/\/(.*@)/.exec(urlBy(0))?.[1];
  return `redis+cluster://${credentials}${hosts}`;
}
