import { parentPort, workerData } from "node:worker_threads";
import { createAuditStore } from "./audit-store.ts";
import { openDatabase } from "./database.ts";
import { createKeyStore } from "./key-store.ts";
import type { StoreCall, StoreResponse, ThreadOptions, ThreadStores } from "./store-call.ts";
import { wasOpenRecently } from "./sweep.ts";
import { createUsageStore } from "./usage-store.ts";
import { createViewReader } from "./view-reader.ts";

// Runs in a separate thread, so that SQLite and a slow disk never delay a Check.

/** Calls that would lose data if the database was removed or replaced. `done` may be lost: events are then logged again. */
const WRITES: ReadonlySet<string> = new Set(["commit", "importLegacy", "noteUse", "sweep", "post"]);

/** The caller's clock, so that everything that one call writes has the same date. */
let callTimeMs = 0;

function open(options: ThreadOptions): ThreadStores {
  const { dataDir, recordRetentionSeconds, acceptEmptyRegistry, instanceId, usageRetention } = options;
  const database = openDatabase(dataDir, { acceptEmptyRegistry });
  const nowMs = () => callTimeMs;
  const { viewEntries: _, ...keys } = createKeyStore(database, { recordRetentionSeconds, nowMs });
  return {
    keys,
    view: createViewReader(database.sqlite),
    audit: createAuditStore(database),
    usage: createUsageStore(database, { instanceId, retention: usageRetention, nowMs }),
    database: { ...database, wasOpenRecently: (nowMs) => wasOpenRecently(database, nowMs) },
  };
}

function serve(respond: (message: StoreResponse) => void): void {
  const fail = (id: number, error: unknown) => {
    const code = error instanceof Error && "code" in error ? { code: String(error.code) } : {};
    respond({ id, error, ...code });
  };
  let stores: ThreadStores;
  try {
    stores = open(workerData);
  } catch (error) {
    fail(0, error);
    return;
  }
  parentPort?.on("message", async ({ id, store, call, args, nowMs }: StoreCall) => {
    callTimeMs = nowMs;
    try {
      const method: unknown = Reflect.get(stores[store], call);
      if (typeof method !== "function") throw new TypeError(`the store has no ${store}.${call}`);
      if (WRITES.has(call)) stores.database.checkPlace();
      respond({ id, value: await Reflect.apply(method, stores[store], args) });
    } catch (error) {
      fail(id, error);
    }
    if (store === "database" && call === "close") parentPort?.close();
  });
  respond({ id: 0, value: undefined });
}

serve((message) => parentPort?.postMessage(message));
