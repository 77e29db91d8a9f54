import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret, readToken } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import { runLatchkey } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const TTL_SECONDS = 14;
/** How long the test uses a key. Leaves time for restarts and busy machines before the key expires. */
const USED_FOR_MS = 7_000;
const POLICY = `
roles: { basic: { scopes: [a], ttl: ${TTL_SECONDS}s, refresh_window: 1s } }
routes: [{ path: /a/**, scopes: [a] }]
`;

interface Slot {
  readonly socket: string;
  readonly envoy: EnvoyProcess;
  latchkey: TestedLatchkey;
  /** Whether the slot receives traffic. */
  live: boolean;
}

let redis: TestedRedis;
let upstream: Upstream;
let slots: Slot[];
let traffic: ReturnType<typeof startTraffic>;
/** The environment of the operator's shell, and of every instance after its restart. */
let env: Record<string, string>;

beforeAll(async () => {
  [redis, upstream] = await Promise.all([startRedis(), startUpstream()]);
  const folder = await mkdtemp(join(tmpdir(), "latchkey-rotation-"));
  removeAtEnd(folder);
  env = {
    JWT_SECRET: newSecret(),
    ADMIN_TOKEN: newSecret(),
    REDIS_URL: redis.url,
    REDIS_COMMAND_TIMEOUT_MS: "5000",
  };
  slots = await Promise.all([1, 2, 3].map(openSlot));
  env["POLICY_FILE"] = join(slots[0]?.latchkey.cwd ?? "", "latchkey.yaml");
  traffic = startTraffic();
});

afterAll(async () => {
  await traffic?.stop();
  await Promise.all((slots ?? []).flatMap(({ envoy, latchkey }) => [envoy.stop(), latchkey.stop()]));
  await Promise.all([redis?.stop(), upstream?.stop()]);
});

async function openSlot(): Promise<Slot> {
  const socket = await newSocket();
  const latchkey = await startLatchkey({ ...env, GRPC_LISTEN: socket }, { policy: POLICY });
  const envoy = await startEnvoy({
    authzTarget: socket,
    upstreamPort: upstream.port,
  });
  return { socket, latchkey, envoy, live: true };
}

async function sendThrough({ envoy }: Slot, key: string) {
  const headers = { authorization: `Bearer ${key}` };
  const response = await fetch(`http://127.0.0.1:${envoy.port}/a/x`, { headers });
  return {
    status: response.status,
    reason: response.headers.get("x-latchkey-reason") ?? "no reason of ours",
  };
}

/** Registers keys at every live instance continuously, and sends requests with recent keys through all of them. */
function startTraffic() {
  const denied: string[] = [];
  const signedBy = new Set<string>();
  let keys: { readonly key: string; readonly madeMs: number }[] = [];
  let sent = 0;
  let isRunning = true;
  const turn = async () => {
    const live = slots.filter((slot) => slot.live);
    const made = await Promise.all(
      live.map(({ latchkey }) =>
        createClient({
          url: `http://${latchkey.operator}`,
          token: env["ADMIN_TOKEN"] ?? "",
          // A command blocks this process until it has ended.
          timeoutMs: 60_000,
        }).register({ name: "n", key_type: "basic" }),
      ),
    );
    const nowMs = Date.now();
    for (const { api_key } of made) {
      signedBy.add(String(readToken(api_key).header["kid"]));
      keys.push({ key: api_key, madeMs: nowMs });
    }
    keys = keys.filter(({ madeMs }) => nowMs - madeMs < USED_FOR_MS);
    const sample = [...keys.slice(-6), ...keys.slice(0, 6)];
    await Promise.all(
      live.flatMap((slot) =>
        sample.map(async ({ key }) => {
          const { status, reason } = await sendThrough(slot, key);
          sent++;
          if (status !== 200)
            denied.push(`${status} (${reason}) for a key of ${readToken(key).header["kid"]}`);
        }),
      ),
    );
    await pause(30);
  };
  let inFlight = Promise.resolve();
  const loop = async () => {
    while (isRunning) {
      inFlight = turn().catch((error: unknown) => void denied.push(String(error)));
      await inFlight;
    }
  };
  const ended = loop();
  return {
    denied,
    signedBy,
    sent: () => sent,
    /** Resolves once the requests in flight have ended. */
    settled: () => inFlight,
    stop: () => {
      isRunning = false;
      return ended;
    },
  };
}

/** Restarts the instances one by one with the present environment. An instance gets no traffic during its restart. */
async function rollOut(): Promise<void> {
  for (const slot of slots) {
    slot.live = false;
    await traffic.settled();
    await slot.latchkey.stop();
    slot.latchkey = await startLatchkey({ ...env, GRPC_LISTEN: slot.socket }, { policy: POLICY });
    await expect.poll(() => sendThrough(slot, "not.a.key")).toMatchObject({ status: 401 });
    slot.live = true;
  }
  await traffic.settled();
}

/** Runs `latchkey secrets …`, adds the variables that it prints to the environment, and returns its result. */
function secrets(...args: readonly string[]) {
  const { status, stdout, stderr } = runLatchkey(["secrets", ...args, "--json"], env);
  if (stdout === "") throw new Error(stderr);
  const result = JSON.parse(stdout);
  if (status === 0) Object.assign(env, result.variables);
  return { status, ...result };
}

/** Waits until every instance has this key in this use. */
async function everywhere(kid: string, use: "signs" | "verifies" | "gone"): Promise<void> {
  const has = async ({ latchkey }: Slot) => {
    const text = await (await fetch(`http://${latchkey.ops}/metrics`)).text();
    const found = new RegExp(`latchkey_signing_key_info\\{kid="${kid}",use="(\\w+)"\\} 1`).exec(text);
    return found?.[1] ?? "gone";
  };
  await expect.poll(() => Promise.all(slots.map(has))).toEqual([use, use, use]);
}

/** A time at which the last instance has stopped signing with the replaced key. */
const now = () => new Date(Math.floor(Date.now() / 1000) * 1000 + 1000).toISOString();

/** Retires a key as soon as that is allowed. Returns whether an earlier attempt was rejected. */
async function retired(...args: readonly string[]): Promise<boolean> {
  const early = secrets("retire", ...args);
  if (early.status === 0) return false;
  await pause(Math.max(0, Date.parse(early.retire_at) - Date.now()));
  expect(secrets("retire", ...args)).toMatchObject({ status: 0, result: "changed" });
  return true;
}

test("a fleet of three rotates from a secret to another, to a key pair, and to the next one, without a denial", async () => {
  const first = secrets("list").kid;
  await everywhere(first, "signs");

  const second = secrets("add").kid;
  await rollOut();
  await everywhere(second, "verifies");
  secrets("promote", second);
  // Rolls out steps of two rotations together, because every instance already has the previous steps.
  env["JWT_KEYS_FILE"] = join(slots[0]?.latchkey.cwd ?? "", "keys.json");
  const third = secrets("add", "--alg", "ES256").kid;
  await rollOut();
  await everywhere(second, "signs");
  const sinceSecond = now();
  await everywhere(third, "verifies");
  expect(secrets("promote")).toMatchObject({ kid: third, variables: { JWT_SECRET: "" } });
  await rollOut();
  await everywhere(third, "signs");
  const sinceThird = now();
  await pause(1000);

  await retired(first, "--since", sinceSecond);
  expect(await retired(second, "--since", sinceThird)).toBe(true);
  expect(env["JWT_SECRET_PREVIOUS"]).toBe("");
  await rollOut();
  await Promise.all([everywhere(first, "gone"), everywhere(second, "gone")]);

  // From here on, no instance restarts, because each one reloads the file.
  const fourth = secrets("add", "--alg", "EdDSA").kid;
  await everywhere(fourth, "verifies");
  expect(secrets("promote")).toMatchObject({ result: "changed", kid: fourth });
  await everywhere(fourth, "signs");
  expect(await retired()).toBe(true);
  await everywhere(third, "gone");
  await traffic.settled();

  await traffic.stop();
  expect(traffic.denied).toEqual([]);
  // The instances compare their keys. None signed with a key that another one lacked.
  for (const { latchkey } of slots)
    expect(latchkey.output()).not.toContain("signs with a key that this instance");
  expect([...traffic.signedBy]).toEqual([first, second, third, fourth]);
  expect(traffic.sent()).toBeGreaterThan(200);
  expect(await readFile(env["JWT_KEYS_FILE"], "utf8")).not.toContain(third);
});
