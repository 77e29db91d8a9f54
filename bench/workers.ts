import { availableParallelism, loadavg } from "node:os";
import { startLatchkey } from "../test/support/latchkey.ts";
import { startRedis } from "../test/support/redis.ts";
import { SECRET } from "./candidates/candidate.ts";
import { benchPolicy } from "./decision.ts";
import { median } from "./figures.ts";
import { loadCalls } from "./load.ts";
import { cpuUsOfEndedChildren, cpuUsWithChildren } from "./processes.ts";
import { checkOf, signTokens } from "./tokens.ts";

const ROUNDS = 5;
const CONNECTIONS = 2;
const CHECKS = CONNECTIONS * 40_000;

/** One measurement. The processor times are microseconds for one Check. */
interface Round {
  readonly perSecond: number;
  readonly serverUs: number;
  readonly loadUs: number;
}

/** Measures one process and two workers in turn with the same load: two connections with 100 concurrent Checks each. */
const redis = await startRedis();
const [token = ""] = await signTokens(1);
const message = checkOf(token);
const candidates = await Promise.all(
  [1, 2].map(async (workers) => ({
    name: workers === 1 ? "one process" : "two workers",
    rounds: [] as Round[],
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
    for (const { instance, rounds } of candidates) {
      const measured = await measure(instance.pid, instance.grpc.split(","));
      // The first round warms up.
      if (round > 0) rounds.push(measured);
    }
  }
} finally {
  await Promise.all(candidates.map(({ instance }) => instance.stop()));
  await redis.stop();
}
const cores = availableParallelism();
console.log(`${cores} cores, load average ${loadavg()[0]?.toFixed(1)}; medians of ${ROUNDS} rounds`);
const [one, two] = candidates.map(({ name, rounds }) => {
  const medians = {
    perSecond: median(rounds.map(({ perSecond }) => perSecond)),
    serverUs: median(rounds.map(({ serverUs }) => serverUs)),
    loadUs: median(rounds.map(({ loadUs }) => loadUs)),
  };
  const { perSecond, serverUs, loadUs } = medians;
  console.log(
    `${name}: ${perSecond.toFixed(0)} Checks/s; CPU µs a Check: server ${serverUs.toFixed(1)}, load ${loadUs.toFixed(1)}`,
  );
  return medians;
});
if (one !== undefined && two !== undefined) {
  // One process uses one core. Two workers and their load share all cores.
  const most = Math.min(2, (cores * one.serverUs) / (two.serverUs + two.loadUs));
  const withCores = (2 * one.serverUs) / two.serverUs;
  console.log(
    `ratio ${(two.perSecond / one.perSecond).toFixed(2)}; at most ${most.toFixed(2)} on these cores, ${withCores.toFixed(2)} with a core for each worker`,
  );
}

/** The connections are spread over the listeners. */
async function measure(pid: number, listeners: readonly string[]): Promise<Round> {
  const [serverBefore, loadBefore] = [await cpuUsWithChildren(pid), await cpuUsOfEndedChildren()];
  const sinceMs = performance.now();
  const loads = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, at) =>
      loadCalls(listeners[at % listeners.length] ?? "", message, CHECKS / CONNECTIONS),
    ),
  );
  const seconds = (performance.now() - sinceMs) / 1000;
  const failed = loads.reduce((sum, load) => sum + load.failed, 0);
  if (failed > 0) throw new Error(`${failed} Checks failed`);
  return {
    perSecond: CHECKS / seconds,
    serverUs: ((await cpuUsWithChildren(pid)) - serverBefore) / CHECKS,
    loadUs: ((await cpuUsOfEndedChildren()) - loadBefore) / CHECKS,
  };
}
