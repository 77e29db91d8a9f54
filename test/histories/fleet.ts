import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import type { FakeClock } from "../support/faketime.ts";
import { newFakeClock } from "../support/faketime.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { MAX_STALENESS_MS } from "./key-model.ts";
import type { HistoryStore, Way } from "./stores/store.ts";

const CALL_TIMEOUT_MS = 5000;
/** A start waits while the store has a fault, and a busy machine is slow. */
const READY_WITHIN_MS = 240_000;
/** Of the role `contributor`. */
export const LIMIT = { capacity: 20, refillPerSecond: 5 };

const POLICY = `
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d }
  other: { scopes: [a], ttl: 7d, refresh_window: 1d }
  contributor:
    scopes: [a]
    ttl: 7d
    refresh_window: 1d
    rate_limits: [{ name: n, per: key, capacity: ${LIMIT.capacity}, refill: ${LIMIT.refillPerSecond}/s }]
routes: [{ path: /a/**, scopes: [a] }]
faults: { limits: local, local_max: 1m, revocations: { max_staleness: ${MAX_STALENESS_MS / 1000}s, then: deny } }
guards: { failures: 1000000/s, open_calls: 1000000/s }
`;

/** One instance: it may be stopped, and has another address after each start. */
export interface Instance {
  readonly name: string;
  readonly way: Way;
  readonly clock: FakeClock;
  /** Of the connection to the store. */
  readonly env: Readonly<Record<string, string>>;
  process: TestedLatchkey | undefined;
  client: LatchkeyClient;
}

export interface Fleet {
  readonly store: HistoryStore;
  readonly instances: readonly Instance[];
  kill(instance: Instance): Promise<void>;
  start(instance: Instance): Promise<void>;
  /** A new instance, which has received nothing before. */
  startAnother(): Promise<Instance>;
  stop(): Promise<void>;
}

export async function startFleet(size: number, store: HistoryStore): Promise<Fleet> {
  const secrets = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), AUDIT_KEY: newSecret() };
  const ADMIN_TOKEN = newSecret();
  const all: Instance[] = [];
  const start = async (instance: Instance) => {
    const env = { ...secrets, ADMIN_TOKEN, AUDIT_FILE: "off", ...instance.env, ...instance.clock.env };
    const started = await startLatchkey(
      { ...env, REDIS_COMMAND_TIMEOUT_MS: "1000" },
      { policy: POLICY, readyWithinMs: READY_WITHIN_MS },
    );
    instance.process = started;
    instance.client = createClient({
      url: `http://${started.operator}`,
      token: ADMIN_TOKEN,
      timeoutMs: CALL_TIMEOUT_MS,
    });
  };
  const add = async (name: string): Promise<Instance> => {
    const { env, way } = await store.reach();
    const instance = {
      name,
      env,
      way,
      clock: await newFakeClock(),
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
    store,
    instances,
    async kill(instance) {
      await instance.process?.stop("SIGKILL");
      instance.process = undefined;
    },
    start,
    startAnother: () => add("a new instance"),
    async stop() {
      await Promise.all(all.map(({ process }) => process?.stop("SIGKILL")));
      await Promise.all(all.map(({ way }) => way.close()));
      await store.stop();
    },
  };
}
