import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import type { ClientHttp2Session } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { decodeCheckResponse, encodeCheckRequest } from "../../scripts/protobuf.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { newFakeClock } from "../support/faketime.ts";
import { call, connectRaw, frame } from "../support/grpc-client.ts";
import { newSecret } from "../support/keys.ts";
import { freeAddress, newSocket } from "../support/latchkey.ts";
import { PROGRAM } from "../support/program.ts";

export const POLICY = `
roles: { basic: { scopes: [a], ttl: 90d, refresh_window: 1h } }
routes: [{ path: /a/**, scopes: [a] }]
`;
const ANSWERED_WITHIN_MS = 5000;
const READY_WITHIN_MS = 60_000;

export type Stdout = "read" | "unread" | "closed" | "full";

/**
 * A real process with an embedded store, and the operations of a soak on it. It may be killed and restarted.
 */
export interface Soaked {
  readonly operator: LatchkeyClient;
  readonly clock: { set(offsetSeconds: number): void };
  readonly policyFile: string;
  readonly socketFile: string;
  readonly databaseFile: string;
  /** The outcome of one Check, or undefined without a response. */
  check(key: string): Promise<"allowed" | "denied" | undefined>;
  scrape(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Kills the process and restarts it in the same folder. */
  restart(stdout?: Stdout): Promise<void>;
  /** Resolves once it is ready. Rejects if it has exited, or is not ready within a minute. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export async function startSoaked(): Promise<Soaked> {
  const cwd = await mkdtemp(join(tmpdir(), "latchkey-soak-"));
  removeAtEnd(cwd);
  const [clock, grpc, http, ops] = [
    await newFakeClock(),
    await newSocket(),
    await freeAddress(),
    await freeAddress(),
  ];
  const policyFile = join(cwd, "latchkey.yaml");
  writeFileSync(policyFile, POLICY);
  const token = newSecret();
  const env = {
    ...clock.env,
    ...CLEAN_ENVIRONMENT,
    DRAIN_SECONDS: "0",
    DATA_DIR: join(cwd, "data"),
    ...{ JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), ADMIN_TOKEN: token },
    ...{ GRPC_LISTEN: grpc, HTTP_LISTEN: http, OPS_LISTEN: ops },
  };
  const start = (stdout: Stdout): ChildProcess => {
    const out = stdout === "full" ? openSync("/dev/full", "w") : "pipe";
    const child = spawn(process.execPath, [PROGRAM, "serve"], { cwd, env, stdio: ["ignore", out, "ignore"] });
    if (stdout === "read") child.stdout?.resume();
    if (stdout === "closed") child.stdout?.destroy();
    return child;
  };
  let child = start("read");
  let session: ClientHttp2Session | undefined;
  const ready = async () => {
    const lateMs = performance.now() + READY_WITHIN_MS;
    while (!(await isReady(ops))) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the process has ended (${child.exitCode ?? child.signalCode})`);
      if (performance.now() > lateMs) throw new Error("the process is not ready for a minute");
      await pause(50);
    }
  };
  return {
    operator: createClient({ url: `http://${http}`, token }),
    clock,
    policyFile,
    socketFile: grpc.slice("unix:".length),
    databaseFile: join(env.DATA_DIR, "latchkey.db"),
    async check(key) {
      if (session === undefined || session.destroyed || session.closed)
        session = await connectRaw(grpc).catch(() => undefined);
      const answer =
        session && (await Promise.race([ask(session, key), pause(ANSWERED_WITHIN_MS, undefined)]));
      if (answer === undefined) session?.destroy();
      return answer;
    },
    async scrape() {
      await fetch(`http://${ops}/metrics`).then((response) => response.arrayBuffer());
    },
    signal: (signal) => void child.kill(signal),
    async restart(stdout = "read") {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await ended;
      child = start(stdout);
      await ready();
    },
    ready,
    async stop() {
      session?.destroy();
      child.kill("SIGKILL");
    },
  };
}

async function isReady(ops: string): Promise<boolean> {
  const status = await fetch(`http://${ops}/readyz`).then(
    ({ status }) => status,
    () => 0,
  );
  return status === 200;
}

async function ask(session: ClientHttp2Session, key: string): Promise<"allowed" | "denied" | undefined> {
  const headers = { authorization: `Bearer ${key}` };
  const http = { method: "GET", path: "/a/x", host: "x", scheme: "https", headers };
  try {
    const { body } = await call(session, frame(encodeCheckRequest({ attributes: { request: { http } } })));
    return decodeCheckResponse(body.subarray(5)).status.code === 0 ? "allowed" : "denied";
  } catch {
    return undefined;
  }
}
