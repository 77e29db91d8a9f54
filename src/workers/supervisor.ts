import cluster from "node:cluster";
import type { WorkerListeners, WorkerQuery } from "./channel.ts";
import type { WorkerSlot } from "./worker-slot.ts";
import { createWorkerSlot } from "./worker-slot.ts";

export interface SupervisorOptions {
  readonly count: number;
  /** The program that each worker runs, as `PROGRAM serve`. */
  readonly program: string;
  /** The environment of the n-th worker (from 1). `former` says where the process before it listened. */
  readonly environment: (
    index: number,
    former: WorkerListeners | undefined,
  ) => Readonly<Record<string, string>>;
  /** Called when a worker exits unexpectedly. `restartMs` is the delay before its replacement starts. */
  readonly onExit: (index: number, how: string, restartMs: number) => void;
  readonly onRestart: (index: number) => void;
}

export interface Supervisor {
  /** Resolves with the listeners of all workers once all are ready. Rejects if one exits before. */
  readonly started: Promise<readonly WorkerListeners[]>;
  /** The response of each worker; undefined without a response in time. */
  ask(query: WorkerQuery): Promise<readonly (string | undefined)[]>;
  /** Each worker reloads its files, at the latest when it is ready. */
  reload(): void;
  /** Ends all workers, and restarts none. A second call skips the drain. */
  end(): void;
  /** Kills the workers that have not ended yet. */
  kill(): void;
  /** Resolves when all workers have ended, with whether each exited with code 0. */
  readonly stopped: Promise<boolean>;
}

/** Starts the workers, and replaces each one that exits. */
export function startSupervisor(options: SupervisorOptions): Supervisor {
  cluster.setupPrimary({ exec: options.program, args: ["serve"] });
  const started = watchStart(options.count);
  const stopped = Promise.withResolvers<boolean>();
  const restarts = new Set<NodeJS.Timeout>();
  let isEnding = false;
  let allExitedWell = true;

  const onExit = (slot: WorkerSlot, how: string, exitedWell: boolean) => {
    if (isEnding) {
      allExitedWell &&= exitedWell;
      if (slots.every((slot) => slot.isEmpty())) stopped.resolve(allExitedWell);
    } else if (!started.isOver()) started.onExit(slot.index, how);
    else {
      const restartMs = slot.restartMs();
      options.onExit(slot.index, how, restartMs);
      restarts.add(setTimeout(slot.fork, restartMs));
    }
  };
  const slots = Array.from({ length: options.count }, (_, at) => {
    const slot: WorkerSlot = createWorkerSlot({
      index: at + 1,
      environment: (former) => options.environment(at + 1, former),
      onReady(listeners, isReplacement) {
        if (isReplacement) options.onRestart(at + 1);
        else started.onReady(at, listeners);
      },
      onExit: (how, exitedWell) => onExit(slot, how, exitedWell),
    });
    return slot;
  });
  for (const slot of slots) slot.fork();
  return {
    started: started.promise,
    stopped: stopped.promise,
    ask: (query) => Promise.all(slots.map((slot) => slot.ask(query))),
    reload: () => slots.forEach((slot) => void slot.reload()),
    kill: () => slots.forEach((slot) => void slot.kill()),
    end() {
      isEnding = true;
      for (const timer of restarts) clearTimeout(timer);
      for (const slot of slots) slot.send({ kind: "end" });
      if (slots.every((slot) => slot.isEmpty())) stopped.resolve(allExitedWell);
    },
  };
}

/** The start is over when every worker has been ready. It fails when one exits before. */
function watchStart(count: number) {
  const { promise, resolve, reject } = Promise.withResolvers<readonly WorkerListeners[]>();
  promise.catch(() => undefined); // The caller that awaits it handles the rejection.
  const listenersOf = new Map<number, WorkerListeners>();
  return {
    promise,
    isOver: () => listenersOf.size === count,
    onReady(at: number, listeners: WorkerListeners) {
      listenersOf.set(at, listeners);
      if (listenersOf.size === count)
        resolve(Array.from({ length: count }, (_, at) => listenersOf.get(at) ?? listeners));
    },
    onExit(index: number, how: string) {
      reject(new Error(`worker ${index} did not start (${how}); its log says why`));
    },
  };
}
