import type { TestedRedis } from "../test/support/redis.ts";
import type { MeasuredServer } from "./candidates/candidate.ts";
import { startBare, startVariant } from "./candidates/candidate.ts";
import { startPinnedEnvoy, startUpstreamEnvoy, withAuthorization, withFilters } from "./candidates/envoy.ts";
import { startEnvoysOwn } from "./candidates/envoys-own.ts";
import { auditOfEveryRequest } from "./decision.ts";
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

const OPA = "OPA-Envoy: neither Go's module proxy nor another registry has it";
const MAX_FAILED = 0.02;
const PATH = "/v1/chat/completions?stream=true";

const OWN = "Envoy's own filters, Go rate limits";

/** One Envoy on one core. The authorization server, the upstream and the load share the other core. */
export async function throughEnvoy(
  redis: TestedRedis,
  { rounds, seconds, isPatient }: Scale,
): Promise<Section> {
  const [token = ""] = await signTokens(1);
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const { candidates, missing } = await startCandidates(redis, isPatient, stops);
    const figures = await alternate(candidates, rounds, (candidate) => measure(candidate, token, seconds));
    return section("envoy", "Through one Envoy on one core", OWN, figures, missing);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

async function startCandidates(redis: TestedRedis, isPatient: boolean, stops: (() => Promise<unknown>)[]) {
  const missing = [OPA];
  const candidates: Candidate[] = [];
  const add = (name: string, envoy: { readonly port: number; stop(): Promise<unknown> }) => {
    stops.push(() => envoy.stop());
    candidates.push({ name, url: `http://127.0.0.1:${envoy.port}${PATH}` });
  };
  const upstream = await startUpstreamEnvoy();
  stops.push(() => upstream.stop());
  const addServer = async (server: MeasuredServer) => {
    stops.push(() => server.stop());
    await pin(server.pid, LOAD_CORE);
    add(server.name, await startPinnedEnvoy(upstream, withAuthorization(server.grpc)));
  };
  add("no authorization", await startPinnedEnvoy(upstream, withFilters([])));
  await addServer(await startBare("http2"));
  await addServer(await startBare("grpc-js"));
  await addServer(await startVariant({ name: "Latchkey", redis }));
  await addServer(
    await startVariant({ name: "Latchkey, audit of every request", redis, policy: auditOfEveryRequest() }),
  );
  await addServer(
    await startVariant({ name: "Latchkey on grpc-js", redis, env: { GRPC_SERVER: "grpc-js" } }),
  );
  const own = await startEnvoysOwn(redis, upstream, isPatient);
  if (own === undefined)
    missing.push("Envoy's own filters: the Go rate limit service is not built, or Go is not installed");
  else {
    stops.push(() => own.limits.stop());
    add(OWN, own.envoy);
  }
  return { candidates, missing };
}

/** Measures at full load, with one connection, and at half of the full load. */
async function measure({ name, url }: Candidate, token: string, seconds: number) {
  const peak = await loadEnvoy(url, token, { connections: 32, seconds });
  const alone = await loadEnvoy(url, token, { connections: 1, seconds });
  const half = await pacedEnvoy(url, token, peak.requestsPerSecond / 2, seconds);
  const failed = peak.failed + alone.failed + half.failed;
  // Some requests of a starting candidate may fail. They are reported. More failures mean a broken candidate.
  if (failed > peak.requestsPerSecond * seconds * MAX_FAILED)
    throw new Error(`${name}: ${failed} requests failed`, { cause: { peak, alone, half } });
  return {
    "req/s, 32 connections": peak.requestsPerSecond,
    "median µs, 1 connection": alone.medianUs ?? Number.NaN,
    "median µs, half load": half.medianUs ?? Number.NaN,
    "p99 µs, half load": half.p99Us ?? Number.NaN,
    "p99.9 µs, half load": half.p999Us ?? Number.NaN,
    failed,
  };
}
