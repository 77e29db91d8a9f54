import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { EXT_AUTHZ, startEnvoy } from "../support/envoy.ts";
import { newSecret, readToken } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import { runLatchkey } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const TTL_SECONDS = 14;
/** Keys are used for so long: restarts and busy machines fit between this and their end. */
const USED_FOR_MS = 7_000;
const POLICY = `
roles: { basic: { scopes: [a], ttl: ${TTL_SECONDS}s, refresh_window: 1s } }
routes: [{ path: /a/**, scopes: [a] }]
`;

interface Slot {
  readonly socket: string;
  readonly envoy: EnvoyProcess;
  latchkey: TestedLatchkey;
  /** Whether it gets traffic. */
  live: boolean;
}

let redis: TestedRedis;
let upstream: Upstream;
let slots: Slot[];
let traffic: ReturnType<typeof startTraffic>;
/** What an operator's shell, and every instance after its restart, has. */
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
    edit: (bootstrap) => bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "timeout"], "5s"),
  });
  return { socket, latchkey, envoy, live: true };
}

async function askThrough({ envoy }: Slot, key: string) {
  const headers = { authorization: `Bearer ${key}` };
  const response = await fetch(`http://127.0.0.1:${envoy.port}/a/x`, { headers });
  return { status: response.status, reason: response.headers.get("x-latchkey-reason") ?? "none of ours" };
}

/** Every live instance signs keys all the time, and every one decides about all that are in use. */
function startTraffic() {
  const refused: string[] = [];
  const signedBy = new Set<string>();
  let keys: { readonly key: string; readonly madeMs: number }[] = [];
  let sent = 0;
  let going = true;
  const turn = async () => {
    const live = slots.filter((slot) => slot.live);
    const made = await Promise.all(
      live.map(({ latchkey }) =>
        createClient({ url: `http://${latchkey.operator}`, token: env["ADMIN_TOKEN"] ?? "" }).register({
          name: "n",
          key_type: "basic",
        }),
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
          const { status, reason } = await askThrough(slot, key);
          sent++;
          if (status !== 200)
            refused.push(`${status} (${reason}) for a key of ${readToken(key).header["kid"]}`);
        }),
      ),
    );
    await pause(30);
  };
  let underWay = Promise.resolve();
  const loop = async () => {
    while (going) {
      underWay = turn().catch((error: unknown) => void refused.push(String(error)));
      await underWay;
    }
  };
  const ended = loop();
  return {
    refused,
    signedBy,
    sent: () => sent,
    /** Resolves once nothing is under way that began before. */
    settled: () => underWay,
    stop: () => {
      going = false;
      return ended;
    },
  };
}

/** Restarts one instance after the other with the environment as it is now; each is out of traffic meanwhile. */
async function rollOut(): Promise<void> {
  for (const slot of slots) {
    slot.live = false;
    await traffic.settled();
    await slot.latchkey.stop();
    slot.latchkey = await startLatchkey({ ...env, GRPC_LISTEN: slot.socket }, { policy: POLICY });
    await expect
      .poll(() => askThrough(slot, "none.of.ours"), { timeout: 20_000 })
      .toMatchObject({ status: 401 });
    slot.live = true;
  }
  await traffic.settled();
}

/** Runs `latchkey secrets …`, takes over the variables that it prints, and gives what it says of itself. */
function secrets(...args: readonly string[]) {
  const { status, stdout, stderr } = runLatchkey(["secrets", ...args, "--json"], env);
  if (stdout === "") throw new Error(stderr);
  const said = JSON.parse(stdout);
  if (status === 0) Object.assign(env, said.variables);
  return { status, ...said };
}

/** Every instance has this key in this use. */
async function everywhere(kid: string, use: "signs" | "verifies" | "gone"): Promise<void> {
  const has = async ({ latchkey }: Slot) => {
    const text = await (await fetch(`http://${latchkey.ops}/metrics`)).text();
    const found = new RegExp(`latchkey_signing_key_info\\{kid="${kid}",use="(\\w+)"\\} 1`).exec(text);
    return found?.[1] ?? "gone";
  };
  await expect.poll(() => Promise.all(slots.map(has)), { timeout: 20_000 }).toEqual([use, use, use]);
}

/** When the last instance has stopped signing with what was replaced. */
const now = () => new Date(Math.floor(Date.now() / 1000) * 1000 + 1000).toISOString();

/** Retires as soon as that is allowed, and says whether it was refused before. */
async function retired(...args: readonly string[]): Promise<boolean> {
  const early = secrets("retire", ...args);
  if (early.status === 0) return false;
  await pause(Math.max(0, Date.parse(early.retire_at) - Date.now()));
  expect(secrets("retire", ...args)).toMatchObject({ status: 0, result: "changed" });
  return true;
}

test("a fleet of three goes from one secret to another, to a key pair, and to the next one, and refuses nobody", async () => {
  const first = secrets("list").kid;
  await everywhere(first, "signs");

  const second = secrets("add").kid;
  await rollOut();
  await everywhere(second, "verifies");
  secrets("promote", second);
  // Moves of two rotations go out together: what each needs before it is everywhere already.
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

  // From here on nobody restarts: the file is enough.
  const fourth = secrets("add", "--alg", "EdDSA").kid;
  await everywhere(fourth, "verifies");
  expect(secrets("promote")).toMatchObject({ result: "changed", kid: fourth });
  await everywhere(fourth, "signs");
  expect(await retired()).toBe(true);
  await everywhere(third, "gone");
  await traffic.settled();

  await traffic.stop();
  expect(traffic.refused).toEqual([]);
  // They compare what they have: nobody was ahead of the others.
  for (const { latchkey } of slots) expect(latchkey.output()).not.toContain("signs with a key that this one");
  expect([...traffic.signedBy]).toEqual([first, second, third, fourth]);
  expect(traffic.sent()).toBeGreaterThan(500);
  expect(await readFile(env["JWT_KEYS_FILE"], "utf8")).not.toContain(third);
});
