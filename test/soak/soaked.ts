import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { killAtEnd, removeAtEnd } from "../support/at-end.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { newFakeClock } from "../support/faketime.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { newSecret } from "../support/keys.ts";
import { freeAddress } from "../support/latchkey.ts";
import { PROGRAM, runHere } from "../support/program.ts";
import { READY_WITHIN_MS } from "./durations.ts";
import type { Front } from "./front.ts";
import { startFront } from "./front.ts";
import type { SoakedListener } from "./listener.ts";
import { policyText } from "./policy.ts";
import type { SoakedStore } from "./stores.ts";

/** Lets SIGUSR2 collect the garbage, so that the figures have the live heap. */
const COLLECTS = `--import=${new URL("../support/collect-on-signal.ts", import.meta.url)}`;

export type Stdout = "read" | "unread" | "closed" | "full";

/**
 * A real process on a store, behind an Envoy, and the operations of a soak on it. It may be killed and restarted.
 */
export interface Soaked {
  readonly operator: LatchkeyClient;
  readonly front: Front;
  readonly listener: SoakedListener;
  readonly clock: { set(offsetSeconds: number): void };
  readonly policyFile: string;
  /** Addresses of relays to its listeners for HTTP. */
  readonly http: string;
  readonly ops: string;
  /** Closes the connections that our clients keep open to these. */
  disconnect(): void;
  pid(): number;
  restarts(): number;
  scrape(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Runs `latchkey secrets …` on its keys. Rejects if it fails. */
  secrets(...args: readonly string[]): Promise<unknown>;
  /** Kills the process and restarts it in the same folder. */
  restart(stdout?: Stdout): Promise<void>;
  /** Resolves once it is ready. Rejects if it has exited, or is not ready within five minutes. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export async function startSoaked(
  store: Pick<SoakedStore, "env">,
  listener: SoakedListener,
): Promise<Soaked> {
  const cwd = await mkdtemp(join(tmpdir(), "latchkey-soak-"));
  removeAtEnd(cwd);
  const clock = await newFakeClock();
  const [http, ops] = [await newWay(), await newWay()];
  const policyFile = join(cwd, "latchkey.yaml");
  writeFileSync(policyFile, policyText());
  const rotated = { JWT_KEYS_FILE: join(cwd, "keys.json"), POLICY_FILE: policyFile };
  const token = newSecret();
  const env = {
    ...clock.env,
    ...CLEAN_ENVIRONMENT,
    NODE_OPTIONS: COLLECTS,
    DRAIN_SECONDS: "0",
    ...{ KEY_HASH_SECRET: newSecret(), ADMIN_TOKEN: token },
    ...{ ...rotated, ...store.env, ...listener.env },
    ...{ GRPC_LISTEN: listener.address, HTTP_LISTEN: http.listen, OPS_LISTEN: ops.listen },
  };
  const secrets = async (...args: readonly string[]): Promise<unknown> => {
    const { status, stdout, stderr } = await runHere(["secrets", ...args, "--json"], rotated);
    if (status !== 0) throw new Error(`latchkey secrets ${args.join(" ")}: ${stderr}${stdout}`);
    return JSON.parse(stdout);
  };
  await secrets("add");
  const start = (stdout: Stdout): ChildProcess => {
    const out = stdout === "full" ? openSync("/dev/full", "w") : "pipe";
    const args = ["--disable-warning=ExperimentalWarning", PROGRAM, "serve"];
    const child = spawn(process.execPath, args, { cwd, env, stdio: ["ignore", out, "ignore"] });
    if (child.pid !== undefined) child.once("exit", killAtEnd(child.pid));
    if (typeof out === "number") closeSync(out);
    if (stdout === "read") child.stdout?.resume();
    if (stdout === "closed") child.stdout?.destroy();
    return child;
  };
  const front = await startFront(listener);
  let child = start("read");
  let restarts = 0;
  const ready = async () => {
    const lateMs = performance.now() + READY_WITHIN_MS;
    while (!(await isReady(ops.address))) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the process has ended (${child.exitCode ?? child.signalCode})`);
      if (performance.now() > lateMs) throw new Error("the process is not ready for five minutes");
      await pause(50);
    }
  };
  return {
    operator: createClient({ url: `http://${http.address}`, token }),
    ...{ front, listener, clock, policyFile, secrets, ready },
    ...{ http: http.address, ops: ops.address },
    disconnect() {
      http.relay.reset();
      ops.relay.reset();
    },
    pid: () => child.pid ?? 0,
    restarts: () => restarts,
    async scrape() {
      await fetch(`http://${ops.address}/metrics`).then((response) => response.arrayBuffer());
    },
    signal: (signal) => void child.kill(signal),
    async restart(stdout = "read") {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await ended;
      restarts += 1;
      child = start(stdout);
      await ready();
    },
    async stop() {
      child.kill("SIGKILL");
      await Promise.all([front.stop(), http.relay.close(), ops.relay.close()]);
    },
  };
}

/** A free address, and a relay to it. */
async function newWay() {
  const listen = await freeAddress();
  const relay = await startFaultRelay(Number(listen.split(":")[1]));
  return { listen, relay, address: `127.0.0.1:${relay.port}` };
}

async function isReady(ops: string): Promise<boolean> {
  const status = await fetch(`http://${ops}/readyz`).then(
    ({ status }) => status,
    () => 0,
  );
  return status === 200;
}
