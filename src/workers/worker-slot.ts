import type { Worker } from "node:cluster";
import cluster from "node:cluster";
import type { WorkerCommand, WorkerListeners, WorkerQuery } from "./channel.ts";
import { report } from "./channel.ts";
import { watchHeartbeat } from "./heartbeat.ts";

/** A worker that does not answer within this is left out. */
const ANSWER_WITHIN_MS = 1000;
const FIRST_RESTART_MS = 100;
const LAST_RESTART_MS = 5000;
/** A worker that has been ready for so long did not end because it cannot start. */
const SETTLED_MS = 10_000;

export interface PostOptions {
  readonly index: number;
  /** What a process finds in its environment; where its predecessor has listened, if it had one. */
  readonly environment: (before: WorkerListeners | undefined) => Readonly<Record<string, string>>;
  readonly ready: (doors: WorkerListeners, isSuccessor: boolean) => void;
  readonly gone: (how: string, isWell: boolean) => void;
}

/** The place of one worker, which one process after the other may take. */
export interface WorkerSlot {
  readonly index: number;
  fork(): void;
  /** Whether no process has it at the moment. */
  isEmpty(): boolean;
  say(order: WorkerCommand): void;
  /** Has the process reload its files, as soon as it is ready. */
  reload(): void;
  /** Undefined where nobody answers in time. */
  ask(what: WorkerQuery): Promise<string | undefined>;
  kill(): void;
  /** After how long the next process is started: longer each time that one ends before it has settled. */
  restartMs(): number;
}

export function createWorkerSlot(options: PostOptions): WorkerSlot {
  let worker: Worker | undefined;
  const { say, ask, answered, dropAll } = createQueries(() => worker);
  let doors: WorkerListeners | undefined;
  let readyAtMs: number | undefined;
  let failures = 0;
  let stopHeartbeat = () => {};
  const hear = (message: unknown) => {
    const heard = report.safeParse(message);
    if (!heard.success) return;
    if (heard.data.kind === "answer") answered(heard.data.id, heard.data.text);
    else {
      const isSuccessor = doors !== undefined;
      doors = heard.data.doors;
      readyAtMs = performance.now();
      options.ready(doors, isSuccessor);
      reloads.onReady();
    }
  };
  const leave = (code: number | null, signal: string | null) => {
    const hadSettled = readyAtMs !== undefined && performance.now() - readyAtMs >= SETTLED_MS;
    failures = hadSettled ? 0 : failures;
    worker = undefined;
    readyAtMs = undefined;
    stopHeartbeat();
    dropAll();
    options.gone(signal ?? `exit code ${code}`, code === 0);
  };
  const reloads = createReloads(() => say({ kind: "reload" }));
  const kill = () => void worker?.process.kill("SIGKILL");
  return {
    index: options.index,
    isEmpty: () => worker === undefined,
    say,
    reload: () => reloads.ask(readyAtMs !== undefined),
    ask,
    kill,
    restartMs: () => Math.min(LAST_RESTART_MS, FIRST_RESTART_MS * 2 ** failures++),
    fork() {
      worker = cluster.fork(options.environment(doors)).on("message", hear).on("exit", leave);
      stopHeartbeat = watchHeartbeat(() => ask("heartbeat"), kill);
    },
  };
}

/** A process that is starting may have read its files before they changed: it reloads them once it is ready. */
function createReloads(send: () => void) {
  let isPending = false;
  return {
    ask(isReady: boolean) {
      if (isReady) send();
      else isPending = true;
    },
    onReady() {
      if (isPending) send();
      isPending = false;
    },
  };
}

/** Orders and questions to the process of the moment, and what it has not answered yet. */
function createQueries(current: () => Worker | undefined) {
  const open = new Map<number, (text: string | undefined) => void>();
  let asked = 0;
  const say = (order: WorkerCommand) => {
    const worker = current();
    if (worker?.isConnected()) worker.send(order, () => undefined);
  };
  return {
    say,
    answered: (id: number, text: string) => open.get(id)?.(text),
    dropAll() {
      for (const drop of open.values()) drop(undefined);
    },
    async ask(what: WorkerQuery): Promise<string | undefined> {
      if (!current()?.isConnected()) return undefined;
      const id = ++asked;
      const { promise, resolve } = Promise.withResolvers<string | undefined>();
      const late = setTimeout(() => resolve(undefined), ANSWER_WITHIN_MS);
      open.set(id, resolve);
      say({ kind: "ask", id, what });
      const text = await promise;
      clearTimeout(late);
      open.delete(id);
      return text;
    },
  };
}
