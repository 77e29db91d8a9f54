import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { startChild } from "../../scripts/child.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { check, underLoad } from "../support/checks.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { EXT_AUTHZ, startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import { PROGRAM, runLatchkey } from "../support/program.ts";
import { sendRaw } from "../support/raw-request.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const CHECKS = 150;
const env = {
  JWT_SECRET: newSecret(),
  ADMIN_TOKEN: newSecret(),
  AUDIT_KEY: newSecret(),
  REDIS_COMMAND_TIMEOUT_MS: "10000",
  WORKERS: "2",
  AUTH_LISTEN: "127.0.0.1:0",
};
const POLICY = `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, rate_limits: [{ name: n, per: key, capacity: 100000, refill: 10000/s }] }
routes: [{ path: /a/**, scopes: [a] }]
audit: { requests: all }
`;

let redis: TestedRedis;
let upstream: Upstream;
let latchkey: TestedLatchkey;
let envoy: EnvoyProcess;
let operator: LatchkeyClient;
let key: string;

beforeAll(async () => {
  [redis, upstream] = await Promise.all([startRedis(), startUpstream()]);
  latchkey = await startLatchkey(
    { ...env, REDIS_URL: redis.url, GRPC_LISTEN: await newSocket() },
    { policy: POLICY },
  );
  envoy = await startEnvoy({
    authzTarget: latchkey.grpc.split(",")[0] ?? "",
    upstreamPort: upstream.port,
    edit: asDocumented,
  });
  operator = createClient({ url: `http://${latchkey.operator}`, token: env.ADMIN_TOKEN });
  key = (await operator.register({ name: "n", key_type: "basic" })).api_key;
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), latchkey?.stop()]);
  await Promise.all([redis?.stop(), upstream?.stop()]);
});

/** The endpoints that docs/operations/workers.md configures in Envoy, with the listeners of these workers. */
function asDocumented(bootstrap: Parameters<NonNullable<Parameters<typeof startEnvoy>[0]["edit"]>>[0]): void {
  const text = readFileSync(new URL("../../docs/operations/workers.md", import.meta.url), "utf8");
  const [service, cluster] = [...text.matchAll(/```yaml\n([^`]+)```/g)].map(([, yaml = ""]) => parse(yaml));
  const listeners = latchkey.grpc
    .split(",")
    .map((listener) => ({ endpoint: { address: { pipe: { path: listener.slice("unix:".length) } } } }));
  cluster.load_assignment.endpoints[0].lb_endpoints = listeners;
  // A busy machine is no dead worker.
  service.grpc_service.timeout = "20s";
  service.grpc_service.retry_policy.retry_back_off.max_interval = "10s";
  bootstrap.setIn([...EXT_AUTHZ, "grpc_service"], bootstrap.createNode(service.grpc_service));
  for (const [name, value] of Object.entries(cluster))
    bootstrap.setIn(["static_resources", "clusters", 0, name], bootstrap.createNode(value));
}

test("the forward-auth listener has one address, at which both workers decide", async () => {
  const headers = {
    ...{ "x-forwarded-method": "GET", "x-forwarded-proto": "https", "x-forwarded-host": "a.example" },
    ...{ "x-forwarded-uri": "/a/x", "x-forwarded-for": "192.0.2.7", connection: "close" },
  };
  const [host, port] = latchkey.auth?.split(":") ?? [];
  expect(host).toBe("127.0.0.1");
  for (let calls = 0; calls < 20; calls++) {
    const authorization = `Bearer ${key}`;
    const allowed = await sendRaw(Number(port), { path: "/forward", headers: { ...headers, authorization } });
    expect([allowed.status, allowed.headers["x-latchkey-role"]]).toEqual([200, "basic"]);
    expect((await sendRaw(Number(port), { path: "/forward", headers })).status).toBe(401);
  }
  const metrics = await (await ops("/metrics")).text();
  for (const worker of ["1", "2"])
    expect(metrics).toMatch(
      new RegExp(`latchkey_forward_auth_responses_total\\{worker="${worker}",form="forward",`),
    );
});

const ops = async (path: string) => fetch(`http://${latchkey.ops}${path}`);

/** Decisions of each worker, by its number. */
async function decided(): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const text = await (await ops("/metrics")).text();
  for (const [, worker = "", value] of text.matchAll(
    /^latchkey_decisions_total\{worker="(\d+)"[^}]*\} (\d+)$/gm,
  ))
    counts.set(worker, (counts.get(worker) ?? 0) + Number(value));
  return counts;
}

/** The processes of the workers. */
function pidsOf({ pid }: Pick<TestedLatchkey, "pid">): readonly number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return list.trim().split(" ").filter(Boolean).map(Number);
}

/** Both workers. A signal to process 0 would reach this process and its group. */
function workersOf(supervisor: Pick<TestedLatchkey, "pid">): readonly [first: number, second: number] {
  const [first, second] = pidsOf(supervisor);
  if (first === undefined || second === undefined) throw new Error("a worker is missing");
  return [first, second];
}

const livesStill = (pid: number) => existsSync(`/proc/${pid}/exe`);

describe("two workers behind one Envoy with one thread", () => {
  test("each worker decides at least a third of the Checks", async () => {
    const before = await decided();
    for (let sent = 0; sent < CHECKS; sent += 10)
      await Promise.all(Array.from({ length: 10 }, () => check(envoy, "/a/x", key)));
    const since = (after: ReadonlyMap<string, number>, worker: string) =>
      (after.get(worker) ?? 0) - (before.get(worker) ?? 0);
    // Scrapes within a moment share one text.
    let after = before;
    const all = async () => {
      after = await decided();
      return since(after, "1") + since(after, "2");
    };
    await expect.poll(all).toBeGreaterThanOrEqual(CHECKS);
    for (const worker of ["1", "2"]) expect(since(after, worker)).toBeGreaterThanOrEqual(CHECKS / 3);
  });

  test("a killed worker restarts at its listener, and no request is denied meanwhile", async () => {
    const [, second] = workersOf(latchkey);
    const answers = await underLoad(
      { known: () => check(envoy, "/a/x", key), other: () => check(envoy, "/a/y", key) },
      async () => {
        process.kill(second, "SIGKILL");
        await expect.poll(() => latchkey.output()).toContain("a new worker has replaced it");
        await pause(1500);
      },
    );
    for (const [, of] of answers) {
      expect(of.length).toBeGreaterThan(20);
      expect(of.filter(({ status }) => status !== 200)).toEqual([]);
    }
    await expect.poll(() => pidsOf(latchkey)).toHaveLength(2);
    expect(pidsOf(latchkey)).not.toContain(second);
    await expect.poll(latchkey.output).toContain("worker 2 exited unexpectedly");
  });

  test("the ops listener merges the workers' metrics and readiness", async () => {
    expect([...(await decided()).keys()].sort()).toEqual(["1", "2"]);
    const parts = ["instance", "revocations", "secrets", "clock"];
    const named = [1, 2].flatMap((worker) => parts.map((part) => [`worker_${worker}.${part}`, "ready"]));
    const readyz = await ops("/readyz");
    expect(readyz.status).toBe(200);
    expect(await readyz.json()).toEqual({ status: "ready", parts: Object.fromEntries(named) });
    const [first] = workersOf(latchkey);
    process.kill(first, "SIGSTOP");
    try {
      // A worker that hangs is reported as missing, and the other continues.
      const hung = await ops("/readyz");
      expect([hung.status, await hung.json()]).toMatchObject([
        200,
        { parts: { "worker_2.instance": "ready" } },
      ]);
      expect([...(await decided()).keys()]).toHaveLength(1);
    } finally {
      process.kill(first, "SIGCONT");
    }
  });

  test("SIGHUP reaches all workers: each loads the changed policy", async () => {
    const hashes = async () => {
      const text = await (await ops("/metrics")).text();
      return [...text.matchAll(/^latchkey_policy_info\{.*hash="(\w+)"\} 1$/gm)].map(([, hash]) => hash);
    };
    const [before = ""] = await hashes();
    writeFileSync(
      join(latchkey.cwd, "latchkey.yaml"),
      POLICY.replace("capacity: 100000", "capacity: 200000"),
    );
    process.kill(latchkey.pid, "SIGHUP");
    // Both workers have one hash, and it is new.
    const distinct = async () => {
      const found = await hashes();
      return [found.length, new Set(found).size, found.includes(before)];
    };
    await expect.poll(distinct).toEqual([2, 1, false]);
  });

  test("a worker whose socket file is removed listens there again, and no request is denied meanwhile", async () => {
    const [first = ""] = latchkey.grpc.split(",").map((listen) => listen.slice("unix:".length));
    const answers = await underLoad({ known: () => check(envoy, "/a/x", key) }, async () => {
      rmSync(first);
      await expect.poll(() => existsSync(first)).toBe(true);
    });
    for (const [, of] of answers) expect(of.filter(({ status }) => status !== 200)).toEqual([]);
    await expect.poll(latchkey.output).toContain("the gRPC listener listens at its Unix socket again");
  });

  test("a stopped worker misses its heartbeats and is replaced", async () => {
    const [first] = workersOf(latchkey);
    process.kill(first, "SIGSTOP");
    await expect.poll(() => latchkey.output(), { interval: 200 }).toContain("worker 1 exited unexpectedly");
    expect(livesStill(first)).toBe(false);
    await expect.poll(() => pidsOf(latchkey).length).toBe(2);
  });

  test("the audit file has one chain for each worker, which continues after the worker is replaced", async () => {
    const file = join(latchkey.cwd, "logs/api.log");
    await expect
      .poll(() => readFileSync(file, "utf8").split('"verdict":"allow"').length)
      .toBeGreaterThan(CHECKS);
    const verified = runLatchkey(["audit", "verify", file], { AUDIT_KEY: env.AUDIT_KEY });
    expect(verified).toMatchObject({ status: 0, stdout: expect.stringContaining("none changed") });
    const chains = new Set(
      [...readFileSync(file, "utf8").matchAll(/"instance":"(\w+)"/g)].map(([, name]) => name),
    );
    expect(chains.size).toBe(2);
  });
});

const own = () => ({ ...env, REDIS_URL: redis.url });

describe("signals are sent to the supervisor", () => {
  test("one signal drains all workers, also if each of them gets it too, and a second one ends them at once", async () => {
    const draining = await startLatchkey({ ...own(), DRAIN_SECONDS: "60" });
    const workers = pidsOf(draining);
    expect(workers).toHaveLength(2);
    for (const pid of [draining.pid, ...workers]) process.kill(pid, "SIGINT");
    const readyz = async () => (await fetch(`http://${draining.ops}/readyz`)).json();
    await expect.poll(readyz).toMatchObject({
      status: "not_ready",
      parts: { "worker_1.instance": "draining", "worker_2.instance": "draining" },
    });
    const operatorOf = createClient({ url: `http://${draining.operator}`, token: env.ADMIN_TOKEN });
    expect(await operatorOf.register({ name: "still served", key_type: "basic" })).toHaveProperty("key_id");
    expect(await draining.stop("SIGTERM")).toBe(0);
    expect(workers.filter(livesStill)).toEqual([]);
  });

  test("a signal during the start ends the workers once they have started", async () => {
    const listeners = { GRPC_LISTEN: "127.0.0.1:0", HTTP_LISTEN: "127.0.0.1:0", OPS_LISTEN: "127.0.0.1:0" };
    const starting = await startChild(process.execPath, [PROGRAM, "serve"], {
      env: { ...CLEAN_ENVIRONMENT, ...own(), ...listeners, AUDIT_FILE: "off", DRAIN_SECONDS: "0" },
    });
    await expect.poll(() => pidsOf(starting).length, { interval: 5 }).toBe(2);
    process.kill(starting.pid, "SIGTERM");
    expect(await starting.exited).toBe(0);
  });

  test("SIGHUP ends neither a supervisor nor a worker, however early it arrives", async () => {
    const listeners = { GRPC_LISTEN: "127.0.0.1:0", HTTP_LISTEN: "127.0.0.1:0", OPS_LISTEN: "127.0.0.1:0" };
    const starting = await startChild(process.execPath, [PROGRAM, "serve"], {
      env: { ...CLEAN_ENVIRONMENT, ...own(), ...listeners, AUDIT_FILE: "off", DRAIN_SECONDS: "0" },
    });
    await expect.poll(() => pidsOf(starting).length, { interval: 5 }).toBe(2);
    const hangUps = setInterval(() => process.kill(starting.pid, "SIGHUP"), 5);
    await expect.poll(() => starting.output()).toContain('"msg":"ready"');
    clearInterval(hangUps);
    expect(await starting.stop()).toBe(0);
  });

  test("SIGTERM ends a group in which a worker is stopped", async () => {
    const group = await startLatchkey(own());
    const [first] = workersOf(group);
    process.kill(first, "SIGSTOP");
    process.kill(group.pid, "SIGTERM");
    await group.exited;
    expect(livesStill(first)).toBe(false);
  });

  test("a killed supervisor takes its workers with it", async () => {
    const killed = await startLatchkey(own());
    const workers = pidsOf(killed);
    await killed.stop("SIGKILL");
    await expect.poll(() => workers.filter(livesStill)).toEqual([]);
  });
});

test("a worker that cannot start, because its listener is in use, ends all workers and logs the reason", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const started = startLatchkey({ ...own(), GRPC_LISTEN: `127.0.0.1:${port - 1}` });
  const said = await started.then(String, (error: unknown) => String(error));
  expect(said).toContain("exit code 1");
  expect(said).toContain("did not start (exit code 1); its log says why");
  expect(said).toContain("the gRPC listener cannot listen on");
  taken.close();
});
