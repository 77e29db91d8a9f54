import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { check } from "./checks.ts";
import { startEnvoy } from "./envoy.ts";
import { newSecret } from "./keys.ts";
import type { TestedLatchkey } from "./latchkey.ts";
import { startLatchkey } from "./latchkey.ts";
import { startRedis } from "./redis.ts";
import { startUpstream } from "./upstream.ts";

export interface LimitedService {
  readonly latchkey: TestedLatchkey;
  readonly envoy: EnvoyProcess;
  readonly adminToken: string;
  readonly admin: LatchkeyClient;
  /** The number of requests for `/a/x` that the key is admitted before it is limited; infinite if `most` are admitted. */
  admitted(token: string, most?: number): Promise<number>;
  /** Replaces the policy. */
  reload(policy: string): Promise<void>;
  stop(): Promise<void>;
}

/** A service behind Envoy and one instance on this kind of store, to count what limits and quotas admit. */
export async function startLimitedService(
  store: string,
  policy: string,
  onLogLine?: (line: string) => void,
): Promise<LimitedService> {
  const adminToken = newSecret();
  const redis = store === "redis" ? await startRedis() : undefined;
  const upstream = await startUpstream();
  const latchkey = await startLatchkey(
    {
      ADMIN_TOKEN: adminToken,
      JWT_SECRET: newSecret(),
      ...(redis && { REDIS_URL: redis.url }),
    },
    { policy, ...(onLogLine && { onLogLine }) },
  );
  const envoy = await startEnvoy({
    authzTarget: latchkey.grpc,
    upstreamPort: upstream.port,
  });
  const admin = createClient({ url: `http://${latchkey.operator}`, token: adminToken });
  return {
    latchkey,
    envoy,
    adminToken,
    admin,
    async admitted(token, most = 20) {
      for (let count = 0; count < most; count++)
        if ((await check(envoy, "/a/x", token)).status === 429) return count;
      return Number.POSITIVE_INFINITY;
    },
    async reload(next) {
      const file = join(latchkey.cwd, "latchkey.yaml");
      await writeFile(`${file}.new`, next);
      await rename(`${file}.new`, file);
      await admin.policy.reload();
    },
    async stop() {
      await Promise.all([envoy.stop(), latchkey.stop()]);
      await Promise.all([upstream.stop(), redis?.stop()]);
    },
  };
}
