import { parentPort, workerData } from "node:worker_threads";
import { createAuditStore } from "./audit-store.ts";
import { openDatabase } from "./database.ts";
import { createKeyStore } from "./key-store.ts";
import { wasOpenLately } from "./last-open.ts";
import { createRevocationReader } from "./revocation-reader.ts";
import type { StoreAnswer, StoreCall, ThreadOptions, ThreadStores } from "./store-call.ts";

// Runs in a thread of its own: what SQLite does, and how long the disk takes over it, holds up no Check.

/** What would be lost where the database is no longer in its place. That events are in the log may be lost. */
const WRITES: ReadonlySet<string> = new Set(["commit", "importLegacy", "noteUse", "sweep"]);

/** The clock is the caller's: what one call writes has one date. */
let askedAtMs = 0;

function open({ dataDir, recordRetentionSeconds, acceptEmptyRegistry }: ThreadOptions): ThreadStores {
  const database = openDatabase(dataDir, { acceptEmptyRegistry });
  const { revocations: _, ...keys } = createKeyStore(database, {
    recordRetentionSeconds,
    nowMs: () => askedAtMs,
  });
  return {
    keys,
    revocations: createRevocationReader(database.sqlite),
    audit: createAuditStore(database),
    database: { ...database, wasOpenLately: (nowMs) => wasOpenLately(database, nowMs) },
  };
}

function serve(answer: (message: StoreAnswer) => void): void {
  const failed = (id: number, error: unknown) => {
    const code = error instanceof Error && "code" in error ? { code: String(error.code) } : {};
    answer({ id, error, ...code });
  };
  let stores: ThreadStores;
  try {
    stores = open(workerData);
  } catch (error) {
    failed(0, error);
    return;
  }
  parentPort?.on("message", async ({ id, store, call, args, nowMs }: StoreCall) => {
    askedAtMs = nowMs;
    try {
      const method: unknown = Reflect.get(stores[store], call);
      if (typeof method !== "function") throw new TypeError(`the store has no ${store}.${call}`);
      if (WRITES.has(call)) stores.database.checkPlace();
      answer({ id, value: await Reflect.apply(method, stores[store], args) });
    } catch (error) {
      failed(id, error);
    }
    if (store === "database" && call === "close") parentPort?.close();
  });
  answer({ id: 0, value: undefined });
}

serve((message) => parentPort?.postMessage(message));
