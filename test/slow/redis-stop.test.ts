import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { FaultRelay, RelayFault } from "../support/fault-relay.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis, urlBy } from "../support/redis.ts";

/** Far more than it takes, and less than the 2 s for which a Redis client could keep a process alive. */
const AT_ONCE_MS = 1500;

let redis: TestedRedis;
let relay: FaultRelay;
const secrets = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), AUDIT_KEY: newSecret() };

beforeAll(async () => {
  redis = await startRedis();
  relay = await startFaultRelay(redis.port);
});
afterAll(async () => {
  await relay?.close();
  await redis?.stop();
});

const faults: readonly RelayFault[] = [
  { kind: "pass" },
  // Longer than an instance waits for a response.
  { kind: "delay", ms: 5000 },
  { kind: "black-hole" },
  { kind: "refuse" },
];

test.each(["1", "2"].flatMap((workers) => faults.map((fault) => [workers, fault.kind, fault] as const)))(
  "with WORKERS=%s and a connection to Redis under %s, SIGTERM ends the process at once, with exit code 0",
  async (workers, _kind, fault) => {
    const outage = Promise.withResolvers<void>();
    let stoppedMs = 0;
    const latchkey = await startLatchkey(
      // A stop that waits for a command takes longer than AT_ONCE_MS.
      { ...secrets, REDIS_URL: urlBy(relay.port), REDIS_COMMAND_TIMEOUT_MS: "2000", WORKERS: workers },
      {
        onLogLine(line) {
          if (line.includes("Redis does not respond")) outage.resolve();
          if (line.includes('"msg":"stopped"')) stoppedMs = performance.now();
        },
      },
    );
    try {
      relay.set(fault);
      if (fault.kind !== "pass") await outage.promise;
      // An instance without its Redis reconnects repeatedly: the signal arrives in between.
      await pause(300);
      expect(await latchkey.stop()).toBe(0);
      expect(performance.now() - stoppedMs).toBeLessThan(AT_ONCE_MS);
    } finally {
      relay.set({ kind: "pass" });
      relay.reset();
    }
  },
);
