import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { startEnvoy } from "./envoy.ts";
import { newSecret } from "./keys.ts";
import type { TestedLatchkey } from "./latchkey.ts";
import { newSocket, startLatchkey } from "./latchkey.ts";
import type { TestedRedis } from "./redis.ts";
import { startRedis } from "./redis.ts";
import type { Upstream } from "./upstream.ts";
import { startUpstream } from "./upstream.ts";

/** An instance with an Envoy in front. */
export interface Instance {
  readonly latchkey: TestedLatchkey;
  readonly envoy: EnvoyProcess;
  /** With an operator's token. */
  readonly client: LatchkeyClient;
  /** Sends a request through Envoy. */
  ask(key: string, header?: "authorization" | "x-api-key", path?: string): Promise<Response>;
  /** `allowed`, or the reason why such a request is denied. */
  reasonOf(key: string, header?: "authorization" | "x-api-key"): Promise<string>;
}

export interface Deployment {
  /** The first instance, and one more if the store is Redis. */
  readonly instances: readonly [Instance, ...Instance[]];
  readonly redis: TestedRedis | undefined;
  readonly upstream: Upstream;
  readonly env: Readonly<Record<string, string>>;
  readonly token: string;
  /** Activates another policy on all instances. */
  setPolicy(text: string): Promise<void>;
  /** Stops an instance and restarts it with these additional settings; its Envoy keeps running. */
  restart(at: number, env: Readonly<Record<string, string>>): Promise<void>;
  stop(): Promise<void>;
}

/** One instance on the embedded store, or two on their own Redis, each behind its own Envoy. */
export async function startDeployment(
  store: "embedded" | "redis",
  policy: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Deployment> {
  const redis = store === "redis" ? await startRedis() : undefined;
  const upstream = await startUpstream();
  const token = newSecret();
  const env = {
    JWT_SECRET: newSecret(),
    KEY_HASH_SECRET: newSecret(),
    ADMIN_TOKEN: token,
    ...(redis && { REDIS_URL: redis.url }),
    ...more,
  };
  const start = async (): Promise<Instance> => {
    const GRPC_LISTEN = await newSocket();
    const latchkey = await startLatchkey({ ...env, GRPC_LISTEN }, { policy });
    const envoy = await startEnvoy({
      authzTarget: latchkey.grpc,
      upstreamPort: upstream.port,
    });
    return instanceOf(latchkey, envoy, token);
  };
  const instances: [Instance, ...Instance[]] = [await start(), ...(redis ? [await start()] : [])];
  return {
    instances,
    redis,
    upstream,
    env,
    token,
    async setPolicy(text) {
      for (const { latchkey, client } of instances) {
        await writeFile(join(latchkey.cwd, "latchkey.yaml"), text);
        await client.policy.reload();
      }
    },
    async restart(at, changed) {
      const { latchkey, envoy } = instances[at] ?? instances[0];
      await latchkey.stop();
      const own = { GRPC_LISTEN: latchkey.grpc, DATA_DIR: latchkey.dataDir };
      instances[at] = instanceOf(
        await startLatchkey({ ...env, ...own, ...changed }, { policy }),
        envoy,
        token,
      );
    },
    async stop() {
      await Promise.all(instances.map(({ latchkey, envoy }) => Promise.all([envoy.stop(), latchkey.stop()])));
      await Promise.all([upstream.stop(), redis?.stop()]);
    },
  };
}

function instanceOf(latchkey: TestedLatchkey, envoy: EnvoyProcess, token: string): Instance {
  const ask: Instance["ask"] = (key, header = "authorization", path = "/a/x") =>
    fetch(`http://127.0.0.1:${envoy.port}${path}`, {
      headers: { [header]: header === "authorization" ? `Bearer ${key}` : key },
    });
  return {
    latchkey,
    envoy,
    client: createClient({ url: `http://${latchkey.operator}`, token }),
    ask,
    async reasonOf(key, header) {
      const answer = await ask(key, header);
      await answer.arrayBuffer();
      return answer.status === 200
        ? "allowed"
        : (answer.headers.get("x-latchkey-reason") ?? `${answer.status}`);
    },
  };
}
