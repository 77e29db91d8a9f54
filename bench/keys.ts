import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KeyRecord } from "../src/core/keys/key-record.ts";
import { openDatabase } from "../src/sqlite/database.ts";
import { createKeyStore } from "../src/sqlite/key-store.ts";
import { removeAtEnd } from "../test/support/at-end.ts";
import type { TestedRedis } from "../test/support/redis.ts";
import type { Answering } from "./candidates/candidate.ts";
import { startBare, startVariant } from "./candidates/candidate.ts";
import { benchRecord } from "./decision.ts";
import { sendChecks } from "./many-tokens.ts";
import { cpuUs } from "./processes.ts";
import type { Section } from "./report.ts";
import { section } from "./report.ts";
import { alternate } from "./rounds.ts";
import type { Scale } from "./scale.ts";
import { checkOf, signTokens } from "./tokens.ts";

const PORTION = 1000;

interface Case {
  readonly name: string;
  readonly server: Answering;
  /** The messages of one round. */
  readonly messages: () => Promise<readonly Buffer[]>;
}

/** One key, many keys in turn, and a new one each time; with few and with many in the registry. */
export async function keys(redis: TestedRedis, scale: Scale): Promise<Section> {
  const { rounds, requests, keys: count, registeredKeys } = scale;
  const [one = ""] = await signTokens(1);
  const many = (await signTokens(count, 1)).map(checkOf);
  let fresh = 10 * count;
  const unseen = async () => {
    fresh += requests;
    return (await signTokens(requests, fresh)).map(checkOf);
  };
  const same = async () => [checkOf(one)];
  const servers: Answering[] = [];
  const started = async (starting: Promise<Answering>) => {
    const server = await starting;
    servers.push(server);
    return server;
  };
  try {
    const bare = await started(startBare("grpc-js"));
    const latchkey = await started(startVariant({ name: "Latchkey", redis }));
    // Of its own, for new tokens push those out that others count on.
    const strange = await started(startVariant({ name: "Latchkey, new tokens", redis }));
    const few = await started(withRegistry(1000));
    const full = await started(withRegistry(registeredKeys));
    const cases: Case[] = [
      { name: "bare grpc-js", server: bare, messages: same },
      { name: "one key", server: latchkey, messages: same },
      { name: `${count.toLocaleString("en")} keys in turn`, server: latchkey, messages: async () => many },
      { name: "every token new", server: strange, messages: unseen },
      { name: "1,000 registered keys, no Redis", server: few, messages: same },
      {
        name: `${registeredKeys.toLocaleString("en")} registered keys, no Redis`,
        server: full,
        messages: same,
      },
    ];
    const figures = await alternate(cases, rounds, (each) => measured(each, requests));
    return section("keys", "Many keys, straight to the door, by a client of our own", "one key", figures);
  } finally {
    for (const { stop } of servers) await stop();
  }
}

async function measured({ server, messages }: Case, requests: number) {
  const sent = await messages();
  const wanted = Math.max(requests, sent.length);
  const before = await cpuUs(server.pid);
  const { seconds } = await sendChecks(server.grpc, sent, wanted);
  return { "req/s": wanted / seconds, "CPU µs": ((await cpuUs(server.pid)) - before) / wanted };
}

/** An instance whose embedded store holds so many keys, written as the process itself would. */
async function withRegistry(size: number): Promise<Answering> {
  const dataDir = await mkdtemp(join(tmpdir(), "latchkey-bench-keys-"));
  removeAtEnd(dataDir);
  const database = openDatabase(dataDir);
  const store = createKeyStore(database, { recordRetentionSeconds: 7 * 86_400, nowMs: Date.now });
  for (let made = 0; made < size; made += PORTION) {
    const put = Array.from({ length: PORTION }, (_, at): KeyRecord => benchRecord(1e6 + made + at));
    await store.commit({ nowSeconds: Math.floor(Date.now() / 1000), put, audit: [] });
  }
  database.close();
  return startVariant({ name: `${size} registered`, env: { DATA_DIR: dataDir } });
}
