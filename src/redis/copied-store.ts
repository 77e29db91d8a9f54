import { createSecretRows } from "../config/secret-rows.ts";
import type { CopiedRows, CopiedStore } from "../core/copy/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { UsageRetention } from "../core/usage/usage-time.ts";
import type { RedisClient } from "./client.ts";
import { createAuditRows } from "./copied-audit.ts";
import { createEntryRows } from "./copied-entries.ts";
import { createKeyRows } from "./copied-keys.ts";
import { createPhaseRows } from "./copied-phase.ts";
import { createQuotaRows } from "./copied-quotas.ts";
import { createUsageRows } from "./copied-usage.ts";
import type { CommitOptions } from "./key-commit.ts";
import { createKeyStore } from "./key-store.ts";
import { readLivingInstances } from "./kid-exchange.ts";
import { pairs, texts } from "./replies.ts";
import { scriptText } from "./script-text.ts";
import { createSecretStore } from "./secret-store.ts";
import type { SpreadClient } from "./spread-client.ts";

const BEGIN_SCRIPT = scriptText("copy-begin");

/** With Redis every instance has its signing secret from its settings. */
const UNUSED_SECRETS = ["jwt_secret"] as const;

export interface CopiedStoreOptions extends CommitOptions {
  readonly usageRetention: UsageRetention;
  readonly auditRetentionSeconds: number;
}

/** The store in Redis, as a copy sees it. Closing it closes the client, but not `spread`. */
export function createCopiedStore(
  client: RedisClient,
  spread: SpreadClient,
  options: CopiedStoreOptions,
): CopiedStore {
  const { keys } = client;
  const store = createKeyStore(client, options);
  const runBegin = client.script(BEGIN_SCRIPT, "copy-begin");
  const id = async () => {
    const epoch = await client.command("GET", keys.epoch);
    return typeof epoch === "string" ? epoch.split(" ")[0] : undefined;
  };
  const nowMs = async () => {
    const [seconds = 0, microseconds = 0] = texts(await client.command("TIME")).map(Number);
    return seconds * 1000 + Math.floor(microseconds / 1000);
  };
  let connection: number | undefined;
  const numberIn = async (name: string) => Number((await client.command("GET", name)) ?? 0);
  return {
    id,
    nowMs,
    async origins() {
      const fields = pairs(await client.command("HGETALL", keys.copies)).map(([field]) => field);
      return new Set(fields.filter((field) => !field.includes(":")));
    },
    instances: () => readLivingInstances(client),
    dates: async () => ({
      forgotten: await numberIn(keys.forgotten),
      newest: await numberIn(keys.newest),
      newestUncut: await numberIn(keys.newestUncut),
    }),
    async begin({ id: source, dates: { newest, newestUncut, forgotten } }) {
      connection = client.connections();
      const names = [
        keys.epoch,
        keys.counts,
        keys.sequence,
        keys.copies,
        keys.newest,
        keys.newestUncut,
        keys.forgotten,
      ];
      await runBegin(names, [options.newRandom(), source, newest, newestUncut, forgotten]);
    },
    async confirm() {
      if (options.waitReplicas === 0) return true;
      // A later connection may lead to a new primary, which never had the first rows.
      return (await store.confirm()) && client.connections() === connection;
    },
    rows: createRows(client, spread, options, { store, id, nowMs }),
    close: client.close,
  };
}

function createRows(
  client: RedisClient,
  spread: SpreadClient,
  { recordRetentionSeconds, usageRetention: retention, auditRetentionSeconds }: CopiedStoreOptions,
  { store, id, nowMs }: Pick<CopiedStore, "id" | "nowMs"> & { readonly store: KeyStore },
): CopiedRows {
  return {
    secrets: createSecretRows(createSecretStore(client), UNUSED_SECRETS),
    phase: createPhaseRows(client, store, id),
    keys: createKeyRows(client, store, recordRetentionSeconds),
    ...createEntryRows(client),
    quotas: createQuotaRows(spread),
    usage: createUsageRows({ registry: client, spread, retention, nowMs: Date.now }),
    audit: () => createAuditRows(client, { id, nowMs, retentionSeconds: auditRetentionSeconds }),
  };
}
