import type { TestedRedis } from "../test/support/redis.ts";
import type { Answering } from "./candidates/candidate.ts";
import { startBare, startVariant } from "./candidates/candidate.ts";
import { loadChecks } from "./load.ts";
import { sendChecks } from "./many-tokens.ts";
import { cpuUs } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import { alternate } from "./rounds.ts";
import type { Scale } from "./scale.ts";
import { checkOf, signTokens } from "./tokens.ts";

/** Straight to the gRPC door: one connection, a hundred Checks at a time. */
export async function direct(redis: TestedRedis, { rounds, requests }: Scale): Promise<Section> {
  const [token = ""] = await signTokens(1);
  const message = checkOf(token);
  const candidates: Answering[] = [];
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
      "Straight to the gRPC door, one connection, 100 Checks at a time",
      "bare grpc-js",
      figures,
    );
  } finally {
    for (const { stop } of candidates) await stop();
  }
}

/** Requests a second, and what the server used of its core for each: the second does not feel what else runs. */
export async function measureDirect({ grpc, pid, name }: Answering, message: Buffer, requests: number) {
  // h2load takes a refusal for an answer: this rejects on one.
  await sendChecks(grpc, [message], 20);
  const before = await cpuUs(pid);
  const { requestsPerSecond, failed } = await loadChecks(grpc, message, requests);
  if (failed > 0) throw new Error(`${name}: ${failed} of ${requests} Checks failed`);
  return { "req/s": requestsPerSecond, "CPU µs": ((await cpuUs(pid)) - before) / requests };
}
