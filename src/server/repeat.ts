import type { OutageMessages } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";

/** Repeats the work, one turn after the other. Gives what ends it, once the turn under way is over. */
export function repeat(
  intervalMs: number,
  work: () => Promise<void>,
  failed: (error: unknown) => void,
): () => Promise<void> {
  let running = Promise.resolve();
  let idle = true;
  const timer = setInterval(() => {
    if (!idle) return;
    idle = false;
    running = work()
      .catch(failed)
      .finally(() => {
        idle = true;
      });
  }, intervalMs);
  timer.unref();
  return () => {
    clearInterval(timer);
    return running;
  };
}

/** The work, and what hears of its failures: an outage is told when it begins and when it is over. */
export function logTransitions(
  work: () => Promise<void>,
  log: Pick<Log, "info" | "warn">,
  words: OutageMessages,
): [work: () => Promise<void>, failed: (error: unknown) => void] {
  let well = true;
  return [
    async () => {
      await work();
      if (!well) log.info({}, words.healed);
      well = true;
    },
    (error) => {
      if (well) log.warn({ err: error }, words.failed);
      well = false;
    },
  ];
}
