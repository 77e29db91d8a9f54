import { RATE_LIMIT_METHOD } from "../scripts/protobuf.ts";
import { encodeMessageFrame } from "../src/grpc/message-frame.ts";
import type { TestedRedis } from "../test/support/redis.ts";
import type { MeasuredServer } from "./candidates/candidate.ts";
import { startVariant } from "./candidates/candidate.ts";
import { startPinnedEnvoy, startUpstreamEnvoy, withFilters } from "./candidates/envoy.ts";
import {
  canHaveRateLimitService,
  DESCRIPTORS,
  DOMAIN,
  limitsCluster,
  rateLimitFilter,
  startRateLimitService,
} from "./candidates/rate-limit-service.ts";
import { benchPolicy } from "./decision.ts";
import { LOAD_CORE, loadCalls, loadEnvoy, pacedEnvoy, SERVER_CORE } from "./load.ts";
import type { Method } from "./many-tokens.ts";
import { sendCalls } from "./many-tokens.ts";
import { cpuUs, onCore, pin } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import { alternate } from "./rounds.ts";
import type { Scale } from "./scale.ts";

const GO = "Go rate limit service";
const VALUES = 10_000;
const CONNECTIONS = 32;
/** `overall_code` OK. */
const OK: Method = { path: RATE_LIMIT_METHOD.path, allowed: Buffer.from([0x08, 0x01]) };
const POLICY = `${benchPolicy()}rate_limit_service:
  domains:
    ${DOMAIN}:
${DESCRIPTORS.replaceAll(/^/gm, "      ").trimEnd()}
`;

interface Candidate extends Pick<MeasuredServer, "name" | "grpc" | "pid"> {
  /** An Envoy whose rate limit filter asks it. */
  readonly url: string;
}

/** Envoy's Rate Limit Service on one descriptor: directly with one value and with many, and through Envoy at half load. */
export async function limits(
  redis: TestedRedis,
  { rounds, requests, seconds, isPatient }: Scale,
): Promise<Section> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const candidates = await startCandidates(redis, isPatient, stops);
    const messages = Array.from({ length: VALUES }, (_, value) => callOf(`value-${value}`));
    const figures = await alternate(candidates, rounds, async (candidate) => ({
      ...(await onCore(LOAD_CORE, [process.pid, redis.pid], () =>
        measureDirect(candidate, redis.pid, messages, requests),
      )),
      ...(await measureThroughEnvoy(candidate, seconds)),
    }));
    const missing = candidates.some(({ name }) => name === GO)
      ? []
      : [`${GO}: not built, or Go is not installed`];
    return section(
      "limits",
      "Envoy's Rate Limit Service, one descriptor",
      missing.length > 0 ? "Latchkey" : GO,
      figures,
      missing,
    );
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

async function startCandidates(redis: TestedRedis, isPatient: boolean, stops: (() => Promise<unknown>)[]) {
  const upstream = await startUpstreamEnvoy();
  stops.push(() => upstream.stop());
  const candidates: Candidate[] = [];
  const add = async (name: string, { grpc, pid, stop }: Omit<MeasuredServer, "name">) => {
    stops.push(stop);
    const filter = rateLimitFilter({ generic_key: { descriptor_key: "family", descriptor_value: "hot" } });
    const port = Number(grpc.split(":").at(-1));
    const envoy = await startPinnedEnvoy(upstream, withFilters([filter], [limitsCluster(port)]));
    stops.push(() => envoy.stop());
    candidates.push({ name, grpc, pid, url: `http://127.0.0.1:${envoy.port}/` });
  };
  await add("Latchkey", await startVariant({ name: "Latchkey", redis, policy: POLICY }));
  if (await canHaveRateLimitService(isPatient)) {
    const service = await startRateLimitService(redis, SERVER_CORE);
    await add(GO, { ...service, grpc: `127.0.0.1:${service.port}` });
  }
  return candidates;
}

function callOf(value: string): Buffer {
  const descriptors = [{ entries: [{ key: "family", value }] }];
  return encodeMessageFrame(
    RATE_LIMIT_METHOD.requestSerialize({ domain: DOMAIN, hits_addend: 1, descriptors }),
  );
}

/** The server has a core of its own. Redis and the client share the other one. */
async function measureDirect(
  { grpc, pid, name }: Candidate,
  redisPid: number,
  messages: readonly Buffer[],
  requests: number,
) {
  await pin(pid, SERVER_CORE);
  const hot = callOf("hot");
  // h2load counts a denial as success. sendCalls rejects on one.
  await sendCalls(grpc, [hot], 20, OK);
  const beforeHot = await cpuUs(pid);
  const { requestsPerSecond, failed } = await loadCalls(grpc, hot, requests, OK.path);
  if (failed > 0) throw new Error(`${name}: ${failed} of ${requests} calls failed`);
  const hotUs = ((await cpuUs(pid)) - beforeHot) / requests;
  const pids = [pid, redisPid, process.pid];
  const before = await Promise.all(pids.map(cpuUs));
  const spread = await sendCalls(grpc, messages, requests, OK);
  const after = await Promise.all(pids.map(cpuUs));
  const [serverUs, redisUs, clientUs] = after.map((us, at) => (us - (before[at] ?? 0)) / requests);
  return {
    "req/s, one value": requestsPerSecond,
    "CPU µs, one value": hotUs,
    [`req/s, ${VALUES} values`]: requests / spread.seconds,
    [`CPU µs, ${VALUES} values`]: serverUs ?? Number.NaN,
    "CPU µs of Redis": redisUs ?? Number.NaN,
    "CPU µs of the client": clientUs ?? Number.NaN,
  };
}

async function measureThroughEnvoy({ pid, url, name }: Candidate, seconds: number) {
  await pin(pid, LOAD_CORE);
  const peak = await loadEnvoy(url, "none", { connections: CONNECTIONS, seconds });
  const half = await pacedEnvoy(url, "none", peak.requestsPerSecond / 2, seconds);
  if (half.failed > peak.requestsPerSecond * seconds * 0.02)
    throw new Error(`${name}: ${half.failed} failed`);
  return {
    "req/s through Envoy": peak.requestsPerSecond,
    "median µs, half load": half.medianUs ?? Number.NaN,
    "p99 µs, half load": half.p99Us ?? Number.NaN,
  };
}
