import { createSecretRows } from "../config/secret-rows.ts";
import { createFileKeeper } from "../config/secrets.ts";
import type { CopiedStore } from "../core/copy/ports.ts";
import { createAuditRows } from "./copied-audit.ts";
import { createEntryRows } from "./copied-entries.ts";
import { createKeyRows } from "./copied-keys.ts";
import { createPhaseRows } from "./copied-phase.ts";
import { createQuotaRows } from "./copied-quotas.ts";
import { createUsageRows } from "./copied-usage.ts";
import { openDatabase } from "./database.ts";
import { createKeyStore } from "./key-store.ts";
import { COPIED, copiedName, createSharedState } from "./shared-state.ts";

/** How long the store keeps what has ended. */
export interface CopiedStoreOptions {
  readonly recordRetentionSeconds: number;
  readonly auditRetentionSeconds: number;
}

/**
 * The registry in `dataDir`, as a copy sees it. It is locked until it is closed. Its calls are synchronous: no Check runs in
 * this process. Throws as `openDatabase` does.
 */
export function openCopiedStore(
  dataDir: string,
  { recordRetentionSeconds, auditRetentionSeconds: retentionSeconds }: CopiedStoreOptions,
): CopiedStore {
  const database = openDatabase(dataDir);
  const { sqlite } = database;
  const state = createSharedState(sqlite);
  const store = createKeyStore(database, { recordRetentionSeconds, nowMs: Date.now });
  const id = state.get("registry") ?? "";
  const numberIn = (name: string) => Number(state.get(name) ?? 0);
  const dates = () => ({
    forgotten: numberIn("forgotten"),
    newest: numberIn("newest_date"),
    newestUncut: numberIn("newest_uncut_date"),
  });
  return {
    id: async () => id,
    nowMs: async () => Date.now(),
    origins: async () => new Set(state.names(COPIED).map((name) => name.slice(COPIED.length))),
    instances: async () => [],
    dates: async () => dates(),
    async begin({ id: source, dates: least }) {
      const stored = dates();
      state.set({
        forgotten: String(Math.max(stored.forgotten, least.forgotten)),
        newest_date: String(Math.max(stored.newest, least.newest)),
        newest_uncut_date: String(Math.max(stored.newestUncut, least.newestUncut)),
        [copiedName(source)]: state.get(copiedName(source)) ?? "0",
      });
    },
    confirm: store.confirm,
    rows: {
      secrets: createSecretRows(createFileKeeper(dataDir)),
      phase: createPhaseRows(state, store, id),
      keys: createKeyRows(sqlite, store),
      ...createEntryRows(sqlite),
      quotas: createQuotaRows(sqlite),
      usage: createUsageRows(sqlite),
      audit: () => createAuditRows({ sqlite, state, id, nowMs: Date.now, retentionSeconds }),
    },
    close: async () => database.close(),
  };
}
