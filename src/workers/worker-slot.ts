import type { Worker } from "node:cluster";
import cluster from "node:cluster";
import type { WorkerCommand, WorkerListeners, WorkerQuery } from "./channel.ts";
import { workerReport } from "./channel.ts";
import { watchHeartbeat } from "./heartbeat.ts";

/** A worker without a response by then is left out. */
const RESPONSE_TIMEOUT_MS = 1000;
const FIRST_RESTART_MS = 100;
const LAST_RESTART_MS = 5000;
/** A worker that was ready for this time is able to start, so its next restart is quick again. */
const SETTLED_MS = 10_000;

export interface WorkerSlotOptions {
  readonly index: number;
  /** The environment of the next process. Its argument says where the former process listened. */
  readonly environment: (former: WorkerListeners | undefined) => Readonly<Record<string, string>>;
  readonly onReady: (listeners: WorkerListeners, isReplacement: boolean) => void;
  readonly onExit: (how: string, exitedWell: boolean) => void;
}

/** The place of one worker. One process at a time has it. */
export interface WorkerSlot {
  readonly index: number;
  fork(): void;
  /** Whether no process has it at the moment. */
  isEmpty(): boolean;
  send(command: WorkerCommand): void;
  /** The process reloads its files, at the latest when it is ready. */
  reload(): void;
  /** Resolves to undefined without a response in time. */
  ask(query: WorkerQuery): Promise<string | undefined>;
  kill(): void;
  /** The delay before the next process starts. It grows with each process that ends before it has settled. */
  restartMs(): number;
}

export function createWorkerSlot(options: WorkerSlotOptions): WorkerSlot {
  let worker: Worker | undefined;
  const { send, ask, onResponse, dropAll } = createQueries(() => worker);
  const reloads = createReloads(() => send({ kind: "reload" }));
  let listeners: WorkerListeners | undefined;
  let readyAtMs: number | undefined;
  let failures = 0;
  let stopHeartbeat = () => {};
  const onMessage = (message: unknown) => {
    const report = workerReport.safeParse(message);
    if (!report.success) return;
    if (report.data.kind === "response") return onResponse(report.data.id, report.data.text);
    const isReplacement = listeners !== undefined;
    listeners = report.data.listeners;
    readyAtMs = performance.now();
    options.onReady(listeners, isReplacement);
    reloads.onReady();
  };
  const onExit = (code: number | null, signal: string | null) => {
    const hadSettled = readyAtMs !== undefined && performance.now() - readyAtMs >= SETTLED_MS;
    failures = hadSettled ? 0 : failures;
    worker = undefined;
    readyAtMs = undefined;
    stopHeartbeat();
    dropAll();
    options.onExit(signal ?? `exit code ${code}`, code === 0);
  };
  const kill = () => void worker?.process.kill("SIGKILL");
  return {
    index: options.index,
    isEmpty: () => worker === undefined,
    send,
    reload: () => reloads.request(readyAtMs !== undefined),
    ask,
    kill,
    restartMs: () => Math.min(LAST_RESTART_MS, FIRST_RESTART_MS * 2 ** failures++),
    fork() {
      worker = cluster.fork(options.environment(listeners)).on("message", onMessage).on("exit", onExit);
      stopHeartbeat = watchHeartbeat(() => ask("heartbeat"), kill);
    },
  };
}

/** A starting process may have read its files before they changed, so it reloads them once it is ready. */
function createReloads(send: () => void) {
  let isPending = false;
  return {
    request(isReady: boolean) {
      if (isReady) send();
      else isPending = true;
    },
    onReady() {
      if (isPending) send();
      isPending = false;
    },
  };
}

/** Commands and queries to the current process, with the pending queries. */
function createQueries(current: () => Worker | undefined) {
  const pending = new Map<number, (text: string | undefined) => void>();
  let lastId = 0;
  const send = (command: WorkerCommand) => {
    const worker = current();
    if (worker?.isConnected()) worker.send(command, () => undefined);
  };
  return {
    send,
    onResponse: (id: number, text: string) => pending.get(id)?.(text),
    dropAll() {
      for (const resolve of pending.values()) resolve(undefined);
    },
    async ask(query: WorkerQuery): Promise<string | undefined> {
      if (!current()?.isConnected()) return undefined;
      const id = ++lastId;
      const { promise, resolve } = Promise.withResolvers<string | undefined>();
      const timer = setTimeout(() => resolve(undefined), RESPONSE_TIMEOUT_MS);
      pending.set(id, resolve);
      send({ kind: "query", id, query });
      const text = await promise;
      clearTimeout(timer);
      pending.delete(id);
      return text;
    },
  };
}
