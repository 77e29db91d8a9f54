import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { errorMessage } from "../core/error-message.ts";
import type { Route } from "../core/policy/route-table.ts";
import { buildRouteTable } from "../core/policy/route-table.ts";
import type { CheckedDocument, PolicyResult, PolicySource } from "./file.ts";
import { toPolicy, toRoute } from "./file.ts";

/** The first message of the thread: the problems, or the document without its routes and the number of routes that follow. */
export type Checked =
  | { readonly ok: true; readonly document: Omit<CheckedDocument, "routes">; readonly routes: number }
  | Extract<PolicyResult, { ok: false }>;

// The file beside this one, in src/ and in dist/.
const THREAD = new URL(import.meta.url.replace(/load(\.[jt]s)$/, "check-thread$1"));

/** A file that needs more memory is rejected, to protect the process. */
const MAX_HEAP_MB = 512;
/** A file that takes longer is rejected, because its corrected successor would wait for it. A policy of 10,000 routes takes a few seconds. */
const MAX_LOAD_MS = 60_000;

/**
 * Loads a policy while requests are decided: a worker thread checks the file, and its routes arrive in portions of about a
 * millisecond. Never rejects.
 */
export async function loadPolicy(source: PolicySource, maxMs = MAX_LOAD_MS): Promise<PolicyResult> {
  try {
    return await loadInThread(source, maxMs);
  } catch (error) {
    const why = errorMessage(error);
    return { ok: false, problems: [`${source.fileName}:1: the policy cannot be loaded: ${why}`] };
  }
}

async function loadInThread(source: PolicySource, maxMs: number): Promise<PolicyResult> {
  const thread = new Worker(THREAD, {
    workerData: source,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  // The thread must not keep the process alive.
  thread.unref();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it takes longer than ${maxMs} ms`)), maxMs);
  timer.unref();
  try {
    return await Promise.race([receivePolicy(source, thread), late]);
  } finally {
    clearTimeout(timer);
    await thread.terminate();
  }
}

async function receivePolicy(source: PolicySource, thread: Worker): Promise<PolicyResult> {
  const checked: Checked = await messageOf(thread);
  if (!checked.ok) return checked;
  const routes: Route[] = [];
  const { add, table } = buildRouteTable();
  while (routes.length < checked.routes) {
    thread.postMessage("more");
    const entries: CheckedDocument["routes"] = await messageOf(thread);
    for (const entry of entries) {
      const route = toRoute(entry, checked.document);
      routes.push(route);
      add(route);
    }
  }
  return { ok: true, policy: toPolicy(source, checked.document, routes, table) };
}

/** The next message of the thread. Rejects if the thread ends first. */
async function messageOf(thread: Worker) {
  const ended = new AbortController();
  const onExit = () => ended.abort();
  thread.once("exit", onExit);
  try {
    const [message] = await once(thread, "message", { signal: ended.signal });
    return message;
  } finally {
    thread.off("exit", onExit);
  }
}
