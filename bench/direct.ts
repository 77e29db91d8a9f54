import type { TestedRedis } from "../test/support/redis.ts";
import type { MeasuredServer } from "./candidates/candidate.ts";
import { startBare, startVariant } from "./candidates/candidate.ts";
import { loadCalls } from "./load.ts";
import { sendCalls } from "./many-tokens.ts";
import { cpuUs } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import { alternate } from "./rounds.ts";
import type { Scale } from "./scale.ts";
import { checkOf, signTokens } from "./tokens.ts";

/** Directly to the gRPC listener: one connection with 100 concurrent Checks. */
export async function direct(redis: TestedRedis, { rounds, requests }: Scale): Promise<Section> {
  const [token = ""] = await signTokens(1);
  const message = checkOf(token);
  const candidates: MeasuredServer[] = [];
  try {
    candidates.push(await startBare("grpc-js"), await startBare("http2"));
    candidates.push(await startVariant({ name: "Latchkey", redis }));
    candidates.push(
      await startVariant({ name: "Latchkey on grpc-js", redis, env: { GRPC_SERVER: "grpc-js" } }),
    );
    const figures = await alternate(candidates, rounds, (candidate) =>
      measureDirect(candidate, message, requests),
    );
    return section(
      "direct",
      "Directly to the gRPC listener, one connection, 100 Checks at a time",
      "bare grpc-js",
      figures,
    );
  } finally {
    for (const { stop } of candidates) await stop();
  }
}

/** Requests per second, and the processor time of each, which does not depend on other load. */
export async function measureDirect({ grpc, pid, name }: MeasuredServer, message: Buffer, requests: number) {
  // h2load counts a denial as success. sendCalls rejects on one.
  await sendCalls(grpc, [message], 20);
  const before = await cpuUs(pid);
  const { requestsPerSecond, failed } = await loadCalls(grpc, message, requests);
  if (failed > 0) throw new Error(`${name}: ${failed} of ${requests} Checks failed`);
  return { "req/s": requestsPerSecond, "CPU µs": ((await cpuUs(pid)) - before) / requests };
}
