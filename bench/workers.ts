import { availableParallelism, loadavg } from "node:os";
import { startLatchkey } from "../test/support/latchkey.ts";
import { startRedis } from "../test/support/redis.ts";
import { SECRET } from "./candidates/candidate.ts";
import { benchPolicy } from "./decision.ts";
import { loadCalls } from "./load.ts";
import { checkOf, signTokens } from "./tokens.ts";

const ROUNDS = 5;
const CONNECTIONS = 2;
const CHECKS_PER_CONNECTION = 40_000;

/** Measures one process and two workers in turn with the same load: two connections with 100 concurrent Checks each. */
const redis = await startRedis();
const [token = ""] = await signTokens(1);
const message = checkOf(token);
const candidates = await Promise.all(
  [1, 2].map(async (workers) => ({
    workers,
    figures: [] as number[],
    instance: await startLatchkey(
      {
        JWT_SECRET: SECRET,
        ADMIN_TOKEN: SECRET.split("").reverse().join(""),
        REDIS_URL: redis.url,
        WORKERS: String(workers),
      },
      { policy: benchPolicy() },
    ),
  })),
);
try {
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { instance, figures } of candidates) {
      const perSecond = await measure(instance.grpc.split(","));
      // The first round warms up.
      if (round > 0) figures.push(perSecond);
    }
  }
} finally {
  await Promise.all(candidates.map(({ instance }) => instance.stop()));
  await redis.stop();
}
const [one = 0, two = 0] = candidates.map(({ figures }) => median(figures));
console.log(
  `${availableParallelism()} cores, load average ${loadavg()[0]?.toFixed(1)}; medians of ${ROUNDS} rounds`,
);
console.log(
  `one process: ${one.toFixed(0)} Checks/s, two workers: ${two.toFixed(0)} Checks/s, ratio ${(two / one).toFixed(2)}`,
);

/** Checks per second over all connections. The connections are spread over the listeners. */
async function measure(listeners: readonly string[]): Promise<number> {
  const sinceMs = performance.now();
  const loads = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, at) =>
      loadCalls(listeners[at % listeners.length] ?? "", message, CHECKS_PER_CONNECTION),
    ),
  );
  const failed = loads.reduce((sum, load) => sum + load.failed, 0);
  if (failed > 0) throw new Error(`${failed} Checks failed`);
  return (CONNECTIONS * CHECKS_PER_CONNECTION * 1000) / (performance.now() - sinceMs);
}

function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0;
}
