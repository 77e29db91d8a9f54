import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KeyRecord } from "../src/core/keys/key-record.ts";
import { openDatabase } from "../src/sqlite/database.ts";
import { createKeyStore } from "../src/sqlite/key-store.ts";
import { removeAtEnd } from "../test/support/at-end.ts";
import type { TestedRedis } from "../test/support/redis.ts";
import type { MeasuredServer } from "./candidates/candidate.ts";
import { startBare, startVariant } from "./candidates/candidate.ts";
import { benchRecord } from "./decision.ts";
import { sendCalls } from "./many-tokens.ts";
import { cpuUs } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import { alternate } from "./rounds.ts";
import type { Scale } from "./scale.ts";
import { checkOf, signTokens } from "./tokens.ts";

const BATCH_SIZE = 1000;

interface Case {
  readonly name: string;
  readonly server: MeasuredServer;
  /** The messages of one round. */
  readonly messages: () => Promise<readonly Buffer[]>;
}

/** One key, many keys in turn, and a new key for each Check. Compares a small registry with a large one. */
export async function keys(redis: TestedRedis, scale: Scale): Promise<Section> {
  const servers: MeasuredServer[] = [];
  const started = async (starting: Promise<MeasuredServer>) => {
    const server = await starting;
    servers.push(server);
    return server;
  };
  try {
    const cases = await startCases(redis, scale, started);
    const figures = await alternate(cases, scale.rounds, (each) => measure(each, scale.requests));
    return section("keys", "Many keys, directly to the listener, from our own client", "one key", figures);
  } finally {
    for (const { stop } of servers) await stop();
  }
}

async function startCases(
  redis: TestedRedis,
  { requests, keys: count, registeredKeys }: Scale,
  started: (starting: Promise<MeasuredServer>) => Promise<MeasuredServer>,
): Promise<readonly Case[]> {
  // The one key is among them, so that exactly this number of keys fills the caches.
  const tokens = await signTokens(count);
  const [one = ""] = tokens;
  const many = tokens.map(checkOf);
  let next = 10 * count;
  const newTokens = async () => {
    next += requests;
    return (await signTokens(requests, next)).map(checkOf);
  };
  const sameToken = async () => [checkOf(one)];
  const bare = await started(startBare("grpc-js"));
  const latchkey = await started(startVariant({ name: "Latchkey", redis }));
  // A separate process, because new tokens evict the cached ones of the other cases.
  const forNewTokens = await started(startVariant({ name: "Latchkey, new tokens", redis }));
  const small = await started(withRegistry(1000));
  const large = await started(withRegistry(registeredKeys));
  const total = registeredKeys.toLocaleString("en");
  return [
    { name: "bare grpc-js", server: bare, messages: sameToken },
    { name: "one key", server: latchkey, messages: sameToken },
    { name: `${count.toLocaleString("en")} keys in turn`, server: latchkey, messages: async () => many },
    { name: "every token new", server: forNewTokens, messages: newTokens },
    { name: "1,000 registered keys, no Redis", server: small, messages: sameToken },
    { name: `${total} registered keys, no Redis`, server: large, messages: sameToken },
    {
      name: `${count.toLocaleString("en")} keys in turn, no Redis`,
      server: small,
      messages: async () => many,
    },
  ];
}

async function measure({ server, messages }: Case, requests: number) {
  const sent = await messages();
  const count = Math.max(requests, sent.length);
  const before = await cpuUs(server.pid);
  const { seconds } = await sendCalls(server.grpc, sent, count);
  return { "req/s": count / seconds, "CPU µs": ((await cpuUs(server.pid)) - before) / count };
}

/** Starts an instance whose embedded store has this many keys. */
async function withRegistry(size: number): Promise<MeasuredServer> {
  return startVariant({ name: `${size} registered`, env: { DATA_DIR: await createRegistry(size) } });
}

/** A folder with an embedded store of this many keys, written by the code of the store. */
export async function createRegistry(size: number): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), "latchkey-bench-keys-"));
  removeAtEnd(dataDir);
  const database = openDatabase(dataDir);
  const store = createKeyStore(database, { recordRetentionSeconds: 7 * 86_400, nowMs: Date.now });
  for (let written = 0; written < size; written += BATCH_SIZE) {
    const put = Array.from({ length: BATCH_SIZE }, (_, at): KeyRecord => benchRecord(1e6 + written + at));
    await store.commit({ nowSeconds: Math.floor(Date.now() / 1000), put, audit: [] });
  }
  database.close();
  return dataDir;
}
