import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, vi } from "vitest";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { redisBinaries } from "../../scripts/redis-binary.ts";
import { removeAtEnd } from "./at-end.ts";
import type { TestedRedis } from "./redis.ts";
import { freePort, startRedis, urlBy } from "./redis.ts";

export const MASTER = "mymaster";
const DOWN_AFTER_MS = 500;
const WAIT = { timeout: 60_000, interval: 50 };

export interface TestedSentinel extends Child {
  readonly port: number;
  /** Returns what redis-cli prints; rejects when it fails. */
  cli(...args: readonly string[]): Promise<string>;
}

export interface SentinelOptions {
  /** Arguments of redis-server for the data nodes. */
  readonly redisArgs?: readonly string[];
}

/** A primary with replicas, and Sentinels that monitor it, on free ports of loopback. */
export interface SentinelSetup {
  /** The data nodes by port, also those that have ended. */
  readonly nodes: Map<number, TestedRedis>;
  readonly sentinels: readonly TestedSentinel[];
  /** With the credentials of the shipped user of the data nodes. */
  readonly url: string;
  /** Resolves with the port that a majority of the Sentinels names, once there is one. */
  primaryPort(): Promise<number>;
  /** The number of failovers that the first Sentinel has logged. */
  failovers(): number;
  /** The same, once it is another port than this. */
  failedOver(from: number, timeoutMs?: number): Promise<number>;
  /**
   * Makes a former primary a replica, and starts it if it has ended. A Sentinel would do so too, but only after eight
   * seconds. Resolves once it has acknowledged all writes.
   */
  rejoin(port: number): Promise<void>;
  /** Resolves once all replicas have acknowledged what the primary has written so far. */
  replicated(): Promise<void>;
  stop(): Promise<void>;
}

/** One Sentinel. @param lines of its configuration, beside those that monitor the primary */
export async function startSentinel(
  primaryPort: number,
  lines: readonly string[] = [],
  primaryHost = "127.0.0.1",
): Promise<TestedSentinel> {
  const { server, cli, env } = await redisBinaries();
  const [port, dir] = [await freePort(), await mkdtemp(join(tmpdir(), "latchkey-sentinel-"))];
  removeAtEnd(dir);
  const file = join(dir, "sentinel.conf");
  const monitor = [
    `sentinel monitor ${MASTER} ${primaryHost} ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${MASTER} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${MASTER} 2000`,
    `sentinel parallel-syncs ${MASTER} 2`,
  ];
  const own = [`port ${port}`, "bind 127.0.0.1", `dir ${dir}`, "protected-mode no"];
  await writeFile(file, `${[...own, ...monitor, ...lines].join("\n")}\n`);
  const monitoring = Promise.withResolvers<void>();
  const child = await startChild(server, [file, "--sentinel"], {
    env: { ...process.env, ...env },
    onStdoutLine: (line) => line.includes("+monitor master") && monitoring.resolve(),
  });
  const ended = child.exited.then((code) =>
    Promise.reject(new Error(`redis-sentinel ended (${code}):\n${child.output()}`)),
  );
  await Promise.race([monitoring.promise, ended]);
  ended.catch(() => undefined);
  return {
    ...child,
    port,
    async cli(...args) {
      const asked = await startChild(cli, ["-p", String(port), ...args], { env: { ...process.env, ...env } });
      if ((await asked.exited) !== 0) throw new Error(`redis-cli ${args.join(" ")}: ${asked.output()}`);
      return asked.output().trimEnd();
    },
  };
}

/** Replicas follow at once, and a primary that has lost all of them takes no writes. */
export const NODE_ARGS = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
export const FENCE = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"];

export async function startSentinelSetup(options: SentinelOptions = {}): Promise<SentinelSetup> {
  const args = [...NODE_ARGS, ...(options.redisArgs ?? [])];
  const primary = await startRedis({ args });
  const nodes = new Map([[primary.port, primary]]);
  const replicaArgs = [...args, "--replicaof", "127.0.0.1", String(primary.port)];
  const replicas = await Promise.all([startRedis({ args: replicaArgs }), startRedis({ args: replicaArgs })]);
  for (const replica of replicas) nodes.set(replica.port, replica);
  // A Sentinel reads the list of replicas at once, and then every ten seconds.
  await vi.waitFor(async () => expect(await primary.cli("INFO", "replication")).toContain("slave1:"), WAIT);
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(primary.port)));
  const setup = createSetup(nodes, sentinels, args);
  await allKnown(sentinels, replicas.length);
  return setup;
}

function createSetup(
  nodes: Map<number, TestedRedis>,
  sentinels: readonly TestedSentinel[],
  args: readonly string[],
): SentinelSetup {
  /** Undefined if the Sentinel does not respond. */
  const named = (sentinel: TestedSentinel) =>
    sentinel.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER).then(
      (reply) => Number(reply.split("\n")[1]),
      () => undefined,
    );
  /**
   * One Sentinel may name a dead primary for as long as it stays dead: if the replica that it promotes ends meanwhile, and the others
   * promote another one, its own failover does not end.
   */
  const majority = async () => {
    const ports = await Promise.all(sentinels.map(named));
    return ports.find((port) => ports.filter((other) => other === port).length > ports.length / 2);
  };
  const primaryOtherThan = (from: number | undefined, timeout = WAIT.timeout) =>
    vi.waitFor(
      async () => {
        const port = await majority();
        return port === undefined || port === from ? never() : port;
      },
      { ...WAIT, timeout },
    );
  const primaryPort = () => primaryOtherThan(undefined);
  const setup: SentinelSetup = {
    nodes,
    sentinels,
    url: sentinelUrl(sentinels.map(({ port }) => port)),
    primaryPort,
    failovers: () => (sentinels[0]?.output() ?? "").split("+switch-master").length - 1,
    failedOver: primaryOtherThan,
    async rejoin(port) {
      const primary = ["127.0.0.1", String(await primaryPort())] as const;
      const node = nodes.get(port) ?? never();
      if (await isRunning(node)) await node.cli("REPLICAOF", ...primary);
      else
        nodes.set(
          port,
          await startRedis({ port, dir: node.dir, args: [...args, "--replicaof", ...primary] }),
        );
      await setup.replicated();
      await allKnown(sentinels, nodes.size - 1);
    },
    async replicated() {
      const info = async () => (await nodes.get(await primaryPort())?.cli("INFO", "replication")) ?? "";
      const written = Number(/master_repl_offset:(\d+)/.exec(await info())?.[1]);
      await vi.waitFor(async () => {
        const acknowledged = [...(await info()).matchAll(/^slave\d+:.*state=online,offset=(\d+)/gm)];
        expect(acknowledged).toHaveLength(nodes.size - 1);
        for (const [, offset] of acknowledged) expect(Number(offset)).toBeGreaterThanOrEqual(written);
      }, WAIT);
    },
    async stop() {
      await Promise.all([...sentinels, ...nodes.values()].map((one) => one.stop("SIGKILL")));
    },
  };
  return setup;
}

function isRunning({ exited }: TestedRedis): Promise<boolean> {
  return Promise.race([exited.then(() => false), nextTurn(true)]);
}

/** Resolves once the Sentinels know each other and the replicas, which a failover needs. */
export async function allKnown(sentinels: readonly TestedSentinel[], replicas: number): Promise<void> {
  const known = async () => {
    const masters = await Promise.all(sentinels.map((one) => one.cli("SENTINEL", "MASTER", MASTER)));
    return masters.map((text) => {
      const number = (name: string) => Number(new RegExp(`^${name}\n(\\d+)$`, "m").exec(text)?.[1]);
      return [number("num-slaves"), number("num-other-sentinels")];
    });
  };
  const wanted = sentinels.map(() => [replicas, sentinels.length - 1]);
  await vi.waitFor(async () => expect(await known()).toEqual(wanted), WAIT);
}

/** `redis+sentinel://` with the credentials of the shipped user. */
export function sentinelUrl(ports: readonly number[], master = MASTER): string {
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(",");
  const credentials = /\/\/(.*@)/.exec(urlBy(0))?.[1];
  return `redis+sentinel://${credentials}${hosts}/${master}`;
}

function never(): never {
  throw new Error("there is none");
}
