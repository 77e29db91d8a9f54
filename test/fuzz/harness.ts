import { setTimeout as sleep } from "node:timers/promises";
import { Document } from "yaml";
import { envoyBinary } from "../../scripts/envoy-binary.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { startEnvoyProcess } from "../../scripts/envoy-process.ts";
import "../support/at-end.ts";
import { newSecret, registerKey } from "../support/keys.ts";
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

/**
 * Concurrent clients: enough that they meet, and few enough to stay below Envoy's limits for one connection.
 */
const CONCURRENCY = 24;
const POLL_MS = 10;
const SETTLED_WITHIN_MS = 60_000;
const MAX_LOG_LINE = 500;
const MAX_OUTPUT = 4000;

export interface Harness {
  /**
   * Runs the conversations concurrently, and reports the violated parts of the invariant. Rejects if Envoy or
   * Latchkey has exited.
   */
  run(batch: readonly Conversation[]): Promise<string[]>;
  /** A summary of the work so far. */
  summary(): Promise<string>;
  stop(): Promise<void>;
}

/** An Envoy that fails open, Latchkey, an upstream that knows the valid keys, and honest clients. */
export async function startHarness(version: string, env: Readonly<Record<string, string>>): Promise<Harness> {
  // No client makes Latchkey log an error.
  const errors: string[] = [];
  const latchkey = await startLatchkey(
    {
      JWT_SECRET: newSecret(),
      KEY_HASH_SECRET: newSecret(),
      // Enabled so that it reads the client's trace; there is no collector.
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
      ...env,
    },
    {
      policy: POLICY,
      onLogLine: (line) => {
        if (/"level":"(error|fatal)"/.test(line)) errors.push(line.slice(0, MAX_LOG_LINE));
      },
    },
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
  const parts: Parts = { errors, upstream, envoy, honest, expand: expandWith(key.api_key) };
  let [sent, latchkeyEnded] = [0, false];
  void latchkey.exited.then(() => {
    latchkeyEnded = true;
  });
  return {
    async run(batch) {
      sent += batch.reduce((sum, { requests, copies }) => sum + requests.length * copies, 0);
      const broken = await runBatch(parts, batch);
      if (latchkeyEnded) throw new Error(`Latchkey ended: ${latchkey.output().slice(-MAX_OUTPUT)}`);
      return broken;
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
  readonly errors: string[];
  readonly upstream: GuardedUpstream;
  readonly envoy: EnvoyProcess;
  readonly honest: HonestClients;
  readonly expand: Expand;
}

async function runBatch(parts: Parts, batch: readonly Conversation[]): Promise<string[]> {
  const { errors, upstream, envoy, honest, expand } = parts;
  honest.resume();
  // Connections that an earlier batch closed are open again by now and do not count again.
  await honest.nextRound();
  const before = await readCounters(envoy.adminPort);
  upstream.takeBreaches();
  honest.takeComplaints();
  errors.length = 0;
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
    ...errors,
    ...honest.takeComplaints(),
  ];
}

/**
 * The counters once no Check is in progress, which takes at most Envoy's timeout: Checks of closed clients end
 * a little later.
 */
async function settled({ adminPort }: EnvoyProcess): Promise<Reading> {
  const end = Date.now() + SETTLED_WITHIN_MS;
  for (;;) {
    const reading = await readCounters(adminPort);
    if (reading.active === 0 || Date.now() > end) return reading;
    await sleep(POLL_MS);
  }
}

async function all<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}
