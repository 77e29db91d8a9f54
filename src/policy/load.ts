import type { Worker } from "node:worker_threads";
import { errorMessage } from "../core/error-message.ts";
import type { Route } from "../core/policy/route-table.ts";
import { buildRouteTable } from "../core/policy/route-table.ts";
import type { CheckedDocument, PolicyResult, PolicySource } from "./file.ts";
import { toPolicy, toRoute } from "./file.ts";
import { messageOf, withThread } from "./thread.ts";

/** The first message of the thread: the problems, or the document without its routes and the number of routes that follow. */
export type Checked =
  | { readonly ok: true; readonly document: Omit<CheckedDocument, "routes">; readonly routes: number }
  | Extract<PolicyResult, { ok: false }>;

// The file beside this one, in src/ and in dist/.
const THREAD = new URL(import.meta.url.replace(/load(\.[jt]s)$/, "check-thread$1"));

/** A file that takes longer is rejected, because its corrected successor would wait for it. A policy of 10,000 routes takes a few seconds. */
const MAX_LOAD_MS = 60_000;

/**
 * Loads a policy while requests are decided: a worker thread checks the file, and its routes arrive in portions of about a
 * millisecond. Never rejects.
 */
export async function loadPolicy(source: PolicySource, maxMs = MAX_LOAD_MS): Promise<PolicyResult> {
  try {
    return await withThread(THREAD, source, maxMs, (thread) => receivePolicy(source, thread));
  } catch (error) {
    const why = errorMessage(error);
    return { ok: false, problems: [`${source.fileName}:1: the policy cannot be loaded: ${why}`] };
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
