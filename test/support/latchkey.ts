import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import type { LatchkeyProcess } from "../../scripts/latchkey-process.ts";
import { startLatchkeyProcess } from "../../scripts/latchkey-process.ts";
import { removeAtEnd } from "./at-end.ts";
import { CLEAN_ENVIRONMENT } from "./environment.ts";
import { PROGRAM } from "./program.ts";
import { freePort } from "./redis.ts";

export interface TestedLatchkey extends LatchkeyProcess {
  /** Remains after `stop`, so that another instance can use it; removed when the tests end. */
  readonly dataDir: string;
  /** Its working folder, with `logs/api.log`. */
  readonly cwd: string;
}

/**
 * A socket for a gRPC listener that restarts: a port that was free before a restart may be in use after it.
 */
export async function newSocket(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-socket-"));
  removeAtEnd(folder);
  return `unix:${join(folder, "grpc.sock")}`;
}

/** For a listener that is called before the start is complete, and therefore needs a known port. */
export async function freeAddress(): Promise<string> {
  return `127.0.0.1:${await freePort()}`;
}

/** An instance that may not be ready yet, and responds all the same. */
export interface StartingLatchkey extends Child {
  readonly grpc: string;
  readonly http: string;
  readonly ops: string;
  /** The status of `/readyz` and its components; undefined before the listener is open. */
  readyz(): Promise<
    { readonly status: number; readonly parts: Readonly<Record<string, string>> } | undefined
  >;
}

/** The same process as {@link startLatchkey} starts, without waiting for anything. */
export async function launchLatchkey(
  env: Readonly<Record<string, string>>,
  options: { readonly policy?: string } = {},
): Promise<StartingLatchkey> {
  const cwd = await mkdtemp(join(tmpdir(), "latchkey-test-"));
  removeAtEnd(cwd);
  if (options.policy !== undefined) await writeFile(join(cwd, "latchkey.yaml"), options.policy);
  const [grpc, http, ops] = [await freeAddress(), await freeAddress(), await freeAddress()];
  const listeners = { GRPC_LISTEN: grpc, HTTP_LISTEN: http, OPS_LISTEN: ops };
  const own = { ...CLEAN_ENVIRONMENT, ...patience(env), DRAIN_SECONDS: "0", AUDIT_FILE: "off", ...listeners };
  const child = await startChild(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", PROGRAM, "serve"],
    {
      cwd,
      env: { ...own, ...env },
      stopWithinMs: 60_000,
    },
  );
  const readyz = async () => {
    const answer = await fetch(`http://${ops}/readyz`).catch(() => undefined);
    if (answer === undefined) return undefined;
    return { status: answer.status, parts: readiness.parse(await answer.json()).parts };
  };
  return { ...child, grpc, http, ops, readyz };
}

const readiness = z.object({ parts: z.record(z.string(), z.string()) });

/** On a busy machine a command to Redis takes longer than the default allows. A test of this timeout sets its own. */
function patience(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const usesRedis = Object.keys(env).some((name) => name.startsWith("REDIS_"));
  return usesRedis ? { REDIS_COMMAND_TIMEOUT_MS: "10000" } : {};
}

/** The real process on free ports of loopback, with nothing of our environment but the PATH. */
export async function startLatchkey(
  env: Readonly<Record<string, string>> = {},
  options: {
    readonly policy?: string;
    readonly args?: readonly string[];
    readonly onLogLine?: (line: string) => void;
    readonly readyWithinMs?: number;
  } = {},
): Promise<TestedLatchkey> {
  const cwd = await mkdtemp(join(tmpdir(), "latchkey-test-"));
  removeAtEnd(cwd);
  if (options.policy !== undefined) await writeFile(join(cwd, "latchkey.yaml"), options.policy);
  const dataDir = env["DATA_DIR"] ?? join(cwd, "data");
  const anyPort = "127.0.0.1:0";
  const listeners = { GRPC_LISTEN: anyPort, HTTP_LISTEN: anyPort, OPS_LISTEN: anyPort };
  // No load balancer has to notice its shutdown.
  const own = { ...CLEAN_ENVIRONMENT, ...patience(env), DRAIN_SECONDS: "0", ...listeners };
  const latchkey = await startLatchkeyProcess({
    cwd,
    ...(options.args !== undefined && { args: options.args }),
    env: { ...own, ...env, DATA_DIR: dataDir },
    ...(options.onLogLine && { onLogLine: options.onLogLine }),
    ...(options.readyWithinMs !== undefined && { readyWithinMs: options.readyWithinMs }),
  });
  return { ...latchkey, dataDir, cwd };
}
