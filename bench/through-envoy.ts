import type { TestedRedis } from "../test/support/redis.ts";
import { startBare, startVariant } from "./candidates/candidate.ts";
import { asking, startPinnedEnvoy, startUpstreamEnvoy, withFilters } from "./candidates/envoy.ts";
import { startEnvoysOwn } from "./candidates/envoys-own.ts";
import { LOAD_CORE, loadEnvoy, pacedEnvoy } from "./load.ts";
import { pin } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import { alternate } from "./rounds.ts";
import type { Scale } from "./scale.ts";
import { signTokens } from "./tokens.ts";

interface Candidate {
  readonly name: string;
  readonly url: string;
}

const OPA = "OPA-Envoy: Go's module proxy does not give it, and no other registry has it";
const MAX_FAILED = 0.02;
const PATH = "/v1/chat/completions?stream=true";

/** One Envoy on one core; on the other one what it asks, and who asks it. */
export async function throughEnvoy(
  redis: TestedRedis,
  { rounds, seconds, patient }: Scale,
): Promise<Section> {
  const [token = ""] = await signTokens(1);
  const missing = [OPA];
  const stops: (() => Promise<unknown>)[] = [];
  const candidates: Candidate[] = [];
  const add = (name: string, envoy: { readonly port: number; stop(): Promise<unknown> }) => {
    stops.push(() => envoy.stop());
    candidates.push({ name, url: `http://127.0.0.1:${envoy.port}${PATH}` });
  };
  try {
    const upstream = await startUpstreamEnvoy();
    stops.push(() => upstream.stop());
    const asked = async (server: {
      readonly name: string;
      readonly grpc: string;
      readonly pid: number;
      stop(): Promise<unknown>;
    }) => {
      stops.push(() => server.stop());
      await pin(server.pid, LOAD_CORE);
      add(server.name, await startPinnedEnvoy(upstream, asking(server.grpc)));
    };
    add("no authorization", await startPinnedEnvoy(upstream, withFilters([])));
    await asked(await startBare("http2"));
    await asked(await startBare("grpc-js"));
    await asked(await startVariant({ name: "Latchkey", redis }));
    await asked(await startVariant({ name: "Latchkey on grpc-js", redis, env: { GRPC_SERVER: "grpc-js" } }));
    const own = await startEnvoysOwn(redis, upstream, patient);
    if (own === undefined)
      missing.push("Envoy's own filters: the Go rate limit service is not built, or there is no Go");
    else {
      stops.push(() => own.limits.stop());
      add("Envoy's own filters, Go rate limits", own.envoy);
    }
    const figures = await alternate(candidates, rounds, (candidate) => measured(candidate, token, seconds));
    return section(
      "envoy",
      "Through one Envoy on one core",
      "Envoy's own filters, Go rate limits",
      figures,
      missing,
    );
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

/** At its peak, alone on the line, and at half of its peak. */
async function measured({ name, url }: Candidate, token: string, seconds: number) {
  const peak = await loadEnvoy(url, token, { connections: 32, seconds });
  const alone = await loadEnvoy(url, token, { connections: 1, seconds });
  const half = await pacedEnvoy(url, token, peak.requestsPerSecond / 2, seconds);
  const failed = peak.failed + alone.failed + half.failed;
  // On a busy machine a Check may come too late for Envoy's timeout, which is shown; a candidate that refuses is no candidate.
  if (failed > peak.requestsPerSecond * seconds * MAX_FAILED)
    throw new Error(`${name}: ${failed} requests failed`, { cause: { peak, alone, half } });
  return {
    "req/s, 32 connections": peak.requestsPerSecond,
    "median µs, 1 connection": alone.medianUs ?? Number.NaN,
    "median µs, half load": half.medianUs ?? Number.NaN,
    "p99 µs, half load": half.p99Us ?? Number.NaN,
    failed,
  };
}
