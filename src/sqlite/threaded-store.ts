import { Worker } from "node:worker_threads";
import type { AuditStore } from "../core/audit/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { SentPosting } from "../core/postings/posting.ts";
import type { CounterUse, QuotaCounter } from "../core/quotas/quota-counter.ts";
import type { QuotaReply } from "../core/quotas/quota-step.ts";
import type { UsageStore } from "../core/usage/ports.ts";
import type { UsageAmount } from "../core/usage/usage-amount.ts";
import type { CounterStep } from "./quota-store.ts";
import type { StoreCall, StoreResponse, ThreadOptions, ThreadStores } from "./store-call.ts";
import { allEntries } from "./view-reader.ts";

/** The counters of quotas. */
export interface EmbeddedQuotas {
  takeSteps(steps: readonly CounterStep[]): Promise<readonly QuotaReply[]>;
  read(counterIds: readonly string[]): Promise<readonly QuotaCounter[]>;
  page(after: string, limit: number): Promise<readonly CounterUse[]>;
  reset(counterIds: readonly string[]): Promise<void>;
}

/** The embedded store, in a separate thread. */
export interface ThreadedStore {
  readonly keys: KeyStore;
  readonly audit: AuditStore;
  readonly quotas: EmbeddedQuotas;
  readonly usage: UsageStore;
  /** Rejects if the database file was removed or replaced. */
  checkPlace(): Promise<void>;
  /** As `wasOpenRecently` of sweep.ts. */
  wasOpenRecently(nowMs: number): Promise<boolean>;
  /** Completes the pending calls, then closes the database. */
  close(): Promise<void>;
}

// The sources are TypeScript, the package contains JavaScript.
const THREAD = new URL(`./store-thread.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);

/**
 * Opens the database of `dataDir` in a separate thread. Rejects if `openDatabase` throws. Calls run in their order. `nowMs`,
 * the store's clock, dates what they write. If the thread ends unexpectedly, every later call rejects.
 */
export async function openThreadedStore(options: ThreadOptions, nowMs: () => number): Promise<ThreadedStore> {
  const thread = startThread(options, nowMs);
  await thread.opened;
  const { call } = thread;
  const reader = callsOf(call, "view", ["portion"]);
  return {
    keys: {
      ...callsOf(call, "keys", KEY_CALLS),
      viewEntries: () => allEntries(reader),
    },
    audit: callsOf(call, "audit", ["claim", "done", "read", "sweep"]),
    quotas: quotasOf(call),
    usage: usageOf(call),
    wasOpenRecently: async (nowMs) => (await call("database", "wasOpenRecently", [nowMs])) === true,
    async checkPlace() {
      await call("database", "checkPlace", []);
    },
    async close() {
      await call("database", "close", []);
      await thread.ended;
    },
  };
}

const KEY_CALLS = [
  "load",
  "commit",
  "confirm",
  "findEnd",
  "findOverride",
  "findLegacy",
  "importLegacy",
  "legacyUse",
  "migration",
  "recall",
  "page",
  "noteUse",
  "lastUsed",
  "frozenUntil",
  "countOwned",
  "count",
  "sweep",
] as const;

type CallThread = (store: keyof ThreadStores, call: string, args: readonly unknown[]) => Promise<unknown>;

/** Functions that call the methods of these names in the thread. */
function callsOf<Store extends keyof ThreadStores, Name extends keyof ThreadStores[Store] & string>(
  call: CallThread,
  store: Store,
  names: readonly Name[],
): Pick<ThreadStores[Store], Name> {
  const calls = names.map((name) => [name, (...args: unknown[]) => call(store, name, args)] as const);
  // The thread calls the method of the same name with these arguments, so the types are those of its store.
  return Object.fromEntries(calls) as Pick<ThreadStores[Store], Name>;
}

function quotasOf(call: CallThread): EmbeddedQuotas {
  // The thread answers with the results of its table, whose methods are not asynchronous.
  const table = callsOf(call, "quotas", ["steps", "read", "page", "reset"]);
  return {
    takeSteps: async (steps) => table.steps(steps),
    read: async (counterIds) => table.read(counterIds),
    page: async (after, limit) => table.page(after, limit),
    reset: async (counterIds) => table.reset(counterIds),
  };
}

function usageOf(call: CallThread): UsageStore {
  const names = ["post", "hours", "days", "subjects", "ownerOf", "bytes", "sweep"] as const;
  const calls = callsOf(call, "usage", names);
  return {
    ...calls,
    post: (postings) => calls.post(postings.map(portablePosting)),
    suspectLoss: () => undefined,
  };
}

/** A message to a thread copies a Map, but no object of a class, such as a `ShortMap`. */
function portablePosting(posting: SentPosting<UsageAmount>): SentPosting<UsageAmount> {
  const { amount } = posting;
  return {
    ...posting,
    amount: { ...amount, units: new Map(amount.units), routes: new Map(amount.routes) },
  };
}

function startThread(options: ThreadOptions, nowMs: () => number) {
  // node:sqlite prints an experimental warning in each thread.
  const worker = new Worker(THREAD, {
    workerData: options,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  const opened = Promise.withResolvers<unknown>();
  const ended = Promise.withResolvers<void>();
  let lastId = 0;
  let failure: Error | undefined;
  pending.set(0, opened);
  worker.on("message", (response: StoreResponse) => {
    const caller = pending.get(response.id);
    pending.delete(response.id);
    if ("error" in response) caller?.reject(withCode(response.error, response.code));
    else caller?.resolve(response.value);
  });
  worker.on("error", (error) => {
    failure = error;
  });
  worker.on("exit", () => {
    failure ??= new Error("the store's thread has ended");
    for (const { reject } of pending.values()) reject(failure);
    pending.clear();
    ended.resolve();
  });
  const call: CallThread = (store, method, args) => {
    if (failure !== undefined) return Promise.reject(failure);
    const id = ++lastId;
    const caller = Promise.withResolvers<unknown>();
    pending.set(id, caller);
    worker.postMessage({ id, store, call: method, args, nowMs: nowMs() } satisfies StoreCall);
    return caller.promise;
  };
  return { call, opened: opened.promise, ended: ended.promise };
}

function withCode(error: unknown, code: string | undefined): unknown {
  return error instanceof Error && code !== undefined ? Object.assign(error, { code }) : error;
}
