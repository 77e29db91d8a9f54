import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import type { FakeClock } from "../support/faketime.ts";
import { newFakeClock } from "../support/faketime.ts";
import type { FaultRelay } from "../support/fault-relay.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis, urlBy } from "../support/redis.ts";
import { MAX_STALENESS_MS } from "./key-model.ts";

const CALL_TIMEOUT_MS = 5000;
/** Every write is on disk before it is acknowledged, so a killed Redis loses none. */
const DURABLE = ["--appendonly", "yes", "--appendfsync", "always"];

const POLICY = `
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d }
  other: { scopes: [a], ttl: 7d, refresh_window: 1d }
routes: [{ path: /a/**, scopes: [a] }]
faults: { limits: allow, revocations: { max_staleness: ${MAX_STALENESS_MS / 1000}s, then: deny } }
guards: { failures: 1000000/s, open_calls: 1000000/s }
`;

/** One instance: it may be stopped, and has another address after each start. */
export interface Instance {
  readonly name: string;
  readonly relay: FaultRelay;
  readonly clock: FakeClock;
  process: TestedLatchkey | undefined;
  client: LatchkeyClient;
}

export interface Fleet {
  readonly instances: readonly Instance[];
  /** The server that accepts writes. */
  primary(): TestedRedis;
  /** Kills the primary, and restarts it on its files. */
  restartPrimary(): Promise<void>;
  /** Promotes the replica and leads new connections to it; open connections stay. */
  failOver(): Promise<void>;
  kill(instance: Instance): Promise<void>;
  start(instance: Instance): Promise<void>;
  /** A new instance, which has received nothing before. */
  startAnother(): Promise<Instance>;
  stop(): Promise<void>;
}

export async function startFleet(size: number): Promise<Fleet> {
  const secrets = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), AUDIT_KEY: newSecret() };
  const ADMIN_TOKEN = newSecret();
  let primary = await startRedis({ args: DURABLE });
  let replica = await startRedis({ args: [...DURABLE, "--replicaof", "127.0.0.1", String(primary.port)] });
  const all: Instance[] = [];

  const start = async (instance: Instance) => {
    const env = {
      ...secrets,
      ADMIN_TOKEN,
      REDIS_URL: urlBy(instance.relay.port),
      AUDIT_FILE: "off",
      ...instance.clock.env,
    };
    const started = await startLatchkey({ ...env, REDIS_COMMAND_TIMEOUT_MS: "1000" }, { policy: POLICY });
    instance.process = started;
    instance.client = createClient({
      url: `http://${started.operator}`,
      token: ADMIN_TOKEN,
      timeoutMs: CALL_TIMEOUT_MS,
    });
  };
  const add = async (name: string): Promise<Instance> => {
    const relay = await startFaultRelay(primary.port);
    const clock = await newFakeClock();
    const instance = {
      name,
      relay,
      clock,
      process: undefined,
      client: createClient({ url: "http://127.0.0.1:1" }),
    };
    all.push(instance);
    await start(instance);
    return instance;
  };
  const instances: Instance[] = [];
  for (let at = 0; at < size; at++) instances.push(await add(`instance ${at + 1}`));
  return {
    instances,
    primary: () => primary,
    async restartPrimary() {
      const { port, dir } = primary;
      await primary.stop("SIGKILL");
      primary = await startRedis({ port, dir, args: DURABLE });
    },
    async failOver() {
      await inSync(primary);
      await primary.cli("FAILOVER", "TO", "127.0.0.1", String(replica.port), "TIMEOUT", "5000");
      await until(async () => (await replica.cli("ROLE")).startsWith("master"));
      [primary, replica] = [replica, primary];
      for (const { relay } of all) relay.leadNewTo(primary.port);
    },
    async kill(instance) {
      await instance.process?.stop("SIGKILL");
      instance.process = undefined;
    },
    start,
    startAnother: () => add("a new instance"),
    async stop() {
      await Promise.all(all.map(({ process }) => process?.stop("SIGKILL")));
      await Promise.all(all.map(({ relay }) => relay.close()));
      await Promise.all([primary.stop(), replica.stop()]);
    },
  };
}

/** Until the replica has all writes of the primary. */
async function inSync(primary: TestedRedis): Promise<void> {
  await until(async () => (await primary.cli("WAIT", "1", "1000")) !== "0");
}

const WAIT_MS = 30_000;

export async function until(holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error("it did not come to hold");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
