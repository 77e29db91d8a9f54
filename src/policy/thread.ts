import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { threadMemoryMib } from "../config/usable-memory.ts";

/** A file that needs more memory is rejected, to protect the process. A policy of 10,000 routes needs 96 MiB. */
const MAX_HEAP_MIB = 512;

/** Runs a worker thread while `use` works with it, for at most `maxMs`. Rejects if the thread needs more time or memory. */
export async function withThread<T>(
  file: URL,
  workerData: unknown,
  maxMs: number,
  use: (thread: Worker) => Promise<T>,
): Promise<T> {
  const resourceLimits = { maxOldGenerationSizeMb: threadMemoryMib(MAX_HEAP_MIB) };
  const thread = new Worker(file, { workerData, resourceLimits });
  // The thread must not keep the process alive.
  thread.unref();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it takes longer than ${maxMs} ms`)), maxMs);
  timer.unref();
  try {
    return await Promise.race([use(thread), late]);
  } finally {
    clearTimeout(timer);
    await thread.terminate();
  }
}

/** The next message of the thread. Rejects if the thread ends first. */
export async function messageOf(thread: Worker) {
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
