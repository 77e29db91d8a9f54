import { setTimeout as sleep } from "node:timers/promises";
import { Document } from "yaml";
import { envoyBinary } from "../../scripts/envoy-binary.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { startEnvoyProcess } from "../../scripts/envoy-process.ts";
import "../support/at-end.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { Conversation, Expand } from "./conversation.ts";
import { expandWith } from "./conversation.ts";
import type { Reading } from "./counters.ts";
import { crowdedBy, moved, readCounters } from "./counters.ts";
import type { HonestClients } from "./honest-clients.ts";
import { startHonestClients } from "./honest-clients.ts";
import { converse } from "./send.ts";
import type { GuardedUpstream } from "./upstream.ts";
import { startGuardedUpstream } from "./upstream.ts";
import { fuzzedBootstrap } from "./variants.ts";

const POLICY = `
roles:
  caller: { scopes: [a:read], ttl: 30d, refresh_window: 1d, self_service: true }
  limited: { scopes: [a:read], ttl: 30d, refresh_window: 1d, self_service: true,
             rate_limits: [{ name: n, per: key, capacity: 100, refill: 20/s }] }
routes:
  - { path: /**, scopes: [a:read] }
  - { path: /chat/**, methods: [GET, POST], hosts: ["*.example"], scopes: [a:read] }
headers: { credential: [authorization, x-api-key, "cookie:sid", "query:api_key"] }
guards: { failures: 600/m }
`;

/** At once: enough that they meet, and few enough that Envoy's limits for one connection stay out of it. */
const CONCURRENCY = 24;
const POLL_MS = 10;
const SETTLED_WITHIN_MS = 20_000;
const MAX_LOG_LINE = 500;

export interface Harness {
  /** Has clients do this at once, and says which part of the invariant did not hold. */
  run(batch: readonly Conversation[]): Promise<string[]>;
  /** What has been done so far, in words. */
  summary(): Promise<string>;
  stop(): Promise<void>;
}

/** An Envoy that lets through what Latchkey does not answer, Latchkey, an upstream that knows who may reach it, honest clients. */
export async function startHarness(version: string, env: Readonly<Record<string, string>>): Promise<Harness> {
  const latchkey = await startLatchkey(
    {
      JWT_SECRET: newSecret(),
      KEY_HASH_SECRET: newSecret(),
      // So that it reads the client's trace; there is no collector.
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
      ...env,
    },
    { policy: POLICY },
  );
  const [first, second, key] = await Promise.all([
    registerKey(latchkey.http, "caller"),
    registerKey(latchkey.http, "caller"),
    registerKey(latchkey.http, "limited"),
  ]);
  const ids = new Set([first, second, key].map(({ key_id }) => key_id));
  const upstream = await startGuardedUpstream((id) => ids.has(id));
  const bootstrap = new Document(fuzzedBootstrap(latchkey.grpc, upstream.port));
  const envoy = await startEnvoyProcess(await envoyBinary(version), bootstrap);
  const honest = startHonestClients(envoy.ports, [first, second]);
  const parts: Parts = { latchkey, upstream, envoy, honest, expand: expandWith(key.api_key) };
  let sent = 0;
  return {
    async run(batch) {
      sent += batch.reduce((sum, { requests, copies }) => sum + requests.length * copies, 0);
      return runBatch(parts, batch);
    },
    async summary() {
      const { checks } = await readCounters(envoy.adminPort);
      return `${sent} requests, ${checks} Checks, ${upstream.served()} with a valid key, ${honest.rounds()} rounds of honest clients`;
    },
    async stop() {
      await honest.stop();
      await envoy.stop();
      await Promise.all([latchkey.stop(), upstream.stop()]);
    },
  };
}

interface Parts {
  readonly latchkey: TestedLatchkey;
  readonly upstream: GuardedUpstream;
  readonly envoy: EnvoyProcess;
  readonly honest: HonestClients;
  readonly expand: Expand;
}

async function runBatch(parts: Parts, batch: readonly Conversation[]): Promise<string[]> {
  const { upstream, envoy, honest, latchkey, expand } = parts;
  honest.resume();
  // Connections that an earlier batch ended are made anew by now, and do not count again.
  await honest.nextRound();
  const before = await readCounters(envoy.adminPort);
  upstream.takeBreaches();
  honest.takeComplaints();
  const errorsBefore = errorsIn(latchkey.output()).length;
  await all(batch, (conversation) =>
    converse(envoy.ports.get(conversation.listener) ?? 0, conversation, expand),
  );
  await honest.nextRound();
  await honest.pause();
  const after = await settled(envoy);
  return [
    ...(after.active === 0 ? [] : [`${after.active} Checks do not end`]),
    ...moved(before.held, after.held, crowdedBy(batch, expand)),
    ...upstream.takeBreaches(),
    ...honest.takeComplaints(),
    ...errorsIn(latchkey.output()).slice(errorsBefore),
  ];
}

/** The counters once no Check is under way, which takes no longer than Envoy waits: those of clients that went away end a little later. */
async function settled({ adminPort }: EnvoyProcess): Promise<Reading> {
  const end = Date.now() + SETTLED_WITHIN_MS;
  for (;;) {
    const reading = await readCounters(adminPort);
    if (reading.active === 0 || Date.now() > end) return reading;
    await sleep(POLL_MS);
  }
}

/** No client makes Latchkey log an error. */
function errorsIn(log: string): string[] {
  const lines = log.split("\n").filter((line) => /"level":"(error|fatal)"/.test(line));
  return lines.map((line) => line.slice(0, MAX_LOG_LINE));
}

async function all<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}
