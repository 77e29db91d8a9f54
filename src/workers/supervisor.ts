import cluster from "node:cluster";
import type { WorkerListeners, WorkerQuery } from "./channel.ts";
import type { WorkerSlot } from "./worker-slot.ts";
import { createWorkerSlot } from "./worker-slot.ts";

export interface SupervisorOptions {
  readonly count: number;
  /** The program that each worker runs, as `PROGRAM serve`. */
  readonly program: string;
  /** What the n-th worker (from 1) finds in its environment; where its predecessor has listened, if it had one. */
  readonly environment: (
    index: number,
    before: WorkerListeners | undefined,
  ) => Readonly<Record<string, string>>;
  /** Hears of a worker that has ended by itself, and after how long another one takes its place. */
  readonly ended: (index: number, how: string, restartMs: number) => void;
  readonly restarted: (index: number) => void;
}

export interface Supervisor {
  /** Where they listen, once all are ready. Rejects when one ends before. */
  readonly started: Promise<readonly WorkerListeners[]>;
  /** What each answers; undefined for one that is not there, or does not answer in time. */
  ask(what: WorkerQuery): Promise<readonly (string | undefined)[]>;
  /** Has each reload its files; one that is starting does so once it is ready. */
  reload(): void;
  /** Has all end, and starts none any more; a second time: at once. */
  end(): void;
  /** Ends what has not ended yet. */
  kill(): void;
  /** Whether all ended well, once they have. */
  readonly stopped: Promise<boolean>;
}

/** Starts the workers, and another one in the place of each that ends. */
export function startSupervisor(options: SupervisorOptions): Supervisor {
  cluster.setupPrimary({ exec: options.program, args: ["serve"] });
  const started = watchStart(options.count);
  const stopped = Promise.withResolvers<boolean>();
  const restarts = new Set<NodeJS.Timeout>();
  let isEnding = false;
  let allWell = true;

  const goneFrom = (post: WorkerSlot, how: string, isWell: boolean) => {
    if (isEnding) {
      allWell &&= isWell;
      if (posts.every((post) => post.isEmpty())) stopped.resolve(allWell);
    } else if (!started.isOver()) started.failed(post.index, how);
    else {
      const restartMs = post.restartMs();
      options.ended(post.index, how, restartMs);
      restarts.add(setTimeout(post.fork, restartMs));
    }
  };
  const posts = Array.from({ length: options.count }, (_, at) => {
    const post: WorkerSlot = createWorkerSlot({
      index: at + 1,
      environment: (before) => options.environment(at + 1, before),
      ready(doors, isSuccessor) {
        if (isSuccessor) options.restarted(at + 1);
        else started.ready(at, doors);
      },
      gone: (how, isWell) => goneFrom(post, how, isWell),
    });
    return post;
  });
  for (const post of posts) post.fork();
  return {
    started: started.promise,
    stopped: stopped.promise,
    ask: (what) => Promise.all(posts.map((post) => post.ask(what))),
    reload: () => posts.forEach((post) => void post.reload()),
    kill: () => posts.forEach((post) => void post.kill()),
    end() {
      isEnding = true;
      for (const timer of restarts) clearTimeout(timer);
      for (const post of posts) post.say({ kind: "end" });
      if (posts.every((post) => post.isEmpty())) stopped.resolve(allWell);
    },
  };
}

/** Is over once each has been ready, or one has ended before. */
function watchStart(count: number) {
  const { promise, resolve, reject } = Promise.withResolvers<readonly WorkerListeners[]>();
  promise.catch(() => undefined); // Whoever awaits it hears of it.
  const doors = new Map<number, WorkerListeners>();
  return {
    promise,
    isOver: () => doors.size === count,
    ready(at: number, of: WorkerListeners) {
      doors.set(at, of);
      if (doors.size === count) resolve(Array.from({ length: count }, (_, at) => doors.get(at) ?? of));
    },
    failed(index: number, how: string) {
      reject(new Error(`worker ${index} did not start (${how}); its log says why`));
    },
  };
}
