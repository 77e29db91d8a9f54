import { Worker } from "node:worker_threads";
import type { AuditStore } from "../core/audit/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import { allRevocations } from "./revocation-reader.ts";
import type { StoreAnswer, StoreCall, ThreadOptions, ThreadStores } from "./store-call.ts";

/** The embedded store, whose work a thread of its own does. */
export interface ThreadedStore {
  readonly keys: KeyStore;
  readonly audit: AuditStore;
  /** Rejects when another file, or none, is in the place of the database. */
  checkPlace(): Promise<void>;
  /** As `wasOpenLately` of last-open. */
  wasOpenLately(nowMs: number): Promise<boolean>;
  /** Does what has been asked for, then closes the database. */
  close(): Promise<void>;
}

// From sources it is TypeScript, in the package it is not.
const THREAD = new URL(`./store-thread.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);

/**
 * Opens the database of `dataDir` in a thread of its own. Rejects as `openDatabase` throws. Calls are carried out in
 * their order, and date what they write by `nowMs`, the store's clock; when the thread ends unasked, each one rejects from then on.
 */
export async function openThreadedStore(options: ThreadOptions, nowMs: () => number): Promise<ThreadedStore> {
  const thread = startThread(options, nowMs);
  await thread.opened;
  const { ask } = thread;
  const reader = callsOf(ask, "revocations", ["portion"]);
  return {
    keys: {
      ...callsOf(ask, "keys", KEY_CALLS),
      revocations: () => allRevocations(reader),
    },
    audit: callsOf(ask, "audit", ["claim", "done", "read", "sweep"]),
    wasOpenLately: async (nowMs) => (await ask("database", "wasOpenLately", [nowMs])) === true,
    async checkPlace() {
      await ask("database", "checkPlace", []);
    },
    async close() {
      await ask("database", "close", []);
      await thread.ended;
    },
  };
}

const KEY_CALLS = [
  "load",
  "commit",
  "confirm",
  "findEnd",
  "findLegacy",
  "importLegacy",
  "legacyUse",
  "migration",
  "recall",
  "page",
  "noteUse",
  "lastUsed",
  "count",
  "sweep",
] as const;

type Ask = (store: keyof ThreadStores, call: string, args: readonly unknown[]) => Promise<unknown>;

/** Functions that have the thread carry out the methods of these names. */
function callsOf<Store extends keyof ThreadStores, Name extends keyof ThreadStores[Store] & string>(
  ask: Ask,
  store: Store,
  names: readonly Name[],
): Pick<ThreadStores[Store], Name> {
  const calls = names.map((name) => [name, (...args: unknown[]) => ask(store, name, args)] as const);
  // The thread calls the method of that name with these arguments: the answer is what it gives.
  return Object.fromEntries(calls) as Pick<ThreadStores[Store], Name>;
}

function startThread(options: ThreadOptions, nowMs: () => number) {
  // node:sqlite works and says that it is new, in each thread.
  const worker = new Worker(THREAD, {
    workerData: options,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const opened = Promise.withResolvers<unknown>();
  const ended = Promise.withResolvers<void>();
  let asked = 0;
  let failure: Error | undefined;
  waiting.set(0, opened);
  worker.on("message", (answer: StoreAnswer) => {
    const call = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ("error" in answer) call?.reject(withCode(answer.error, answer.code));
    else call?.resolve(answer.value);
  });
  worker.on("error", (error) => {
    failure = error;
  });
  worker.on("exit", () => {
    failure ??= new Error("the store's thread has ended");
    for (const { reject } of waiting.values()) reject(failure);
    waiting.clear();
    ended.resolve();
  });
  const ask: Ask = (store, call, args) => {
    if (failure !== undefined) return Promise.reject(failure);
    const id = ++asked;
    const answer = Promise.withResolvers<unknown>();
    waiting.set(id, answer);
    worker.postMessage({ id, store, call, args, nowMs: nowMs() } satisfies StoreCall);
    return answer.promise;
  };
  return { ask, opened: opened.promise, ended: ended.promise };
}

function withCode(error: unknown, code: string | undefined): unknown {
  return error instanceof Error && code !== undefined ? Object.assign(error, { code }) : error;
}
