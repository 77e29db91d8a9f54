import { randomInt } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { redisBinaries } from "../../scripts/redis-binary.ts";
import { removeAtEnd } from "./at-end.ts";
import { newSecret } from "./keys.ts";
import { clusterUser, latchkeyUser } from "./redis-user.ts";

/** One password for all servers of a test, so that a server that replaces another admits the same clients. */
const USER_PASSWORD = newSecret();

export interface TestedRedis extends Child {
  readonly port: number;
  /** As the shipped user, who may only do what Latchkey needs. */
  readonly url: string;
  /** As a user with all rights. */
  readonly adminUrl: string;
  /** The folder of its files. */
  readonly dir: string;
  /** The output of redis-cli for a command, with all rights. Rejects if it fails. */
  cli(...args: readonly string[]): Promise<string>;
}

export interface RedisOptions {
  /** The port of a Redis that has ended, to replace it. */
  readonly port?: number;
  /** The folder of a Redis that has ended, to continue with its files. */
  readonly dir?: string;
  /** Of the user with all rights. */
  readonly password?: string;
  /** Further arguments of redis-server. */
  readonly args?: readonly string[];
  /** Added to the environment of redis-server: a clock of its own (faketime.ts). */
  readonly env?: Readonly<Record<string, string>>;
}

/** The same Redis by another address, such as a relay. */
export function urlBy(port: number): string {
  return `redis://latchkey:${encodeURIComponent(USER_PASSWORD)}@127.0.0.1:${port}`;
}

/** A real redis-server on loopback, in memory only unless its arguments say otherwise. */
export async function startRedis(options: RedisOptions = {}): Promise<TestedRedis> {
  const { server, cli, env } = await redisBinaries();
  const port = options.port ?? (await freePort());
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "latchkey-redis-")));
  removeAtEnd(dir);
  const auth = options.password === undefined ? [] : ["--requirepass", options.password];
  const isCluster = options.args?.includes("--cluster-enabled");
  const user = (isCluster ? clusterUser : latchkeyUser)(USER_PASSWORD);
  // A file with all users.
  const users = options.args?.includes("--aclfile") ? [] : ["--user", ...user];
  const ready = Promise.withResolvers<void>();
  const child = await startChild(
    server,
    [
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--dir",
      dir,
      "--save",
      "",
      "--appendonly",
      "no",
      ...auth,
      ...users,
      ...(options.args ?? []),
    ],
    {
      env: { ...process.env, ...env, ...options.env },
      onStdoutLine: (line) => line.includes("Ready to accept connections") && ready.resolve(),
    },
  );
  await Promise.race([
    ready.promise,
    child.exited.then((code) =>
      Promise.reject(new Error(`redis-server ended (${code}):\n${child.output()}`)),
    ),
  ]);
  const ask = async (...args: readonly string[]) => {
    const secret = options.password === undefined ? {} : { REDISCLI_AUTH: options.password };
    const asked = await startChild(cli, ["-p", String(port), ...args], {
      env: { ...process.env, ...env, ...secret },
    });
    const code = await asked.exited;
    if (code !== 0) throw new Error(`redis-cli ${args.join(" ")}: ${asked.output()}`);
    return asked.output().trimEnd();
  };
  const userInfo = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`;
  return {
    ...child,
    port,
    dir,
    url: urlBy(port),
    adminUrl: `redis://${userInfo}127.0.0.1:${port}`,
    cli: ask,
  };
}

/** Ports that the kernel gives to no outgoing connection: on Linux those begin at 32768. */
const FREE_PORTS = { min: 10_240, max: 32_000 };

/** A port that nothing listens on, because redis-server cannot report a port that it chose. No connection can take it meanwhile. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FREE_PORTS.min, FREE_PORTS.max);
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
