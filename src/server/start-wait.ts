import { setTimeout as pause } from "node:timers/promises";
import { RedisUnavailable } from "../redis/redis-error.ts";
import { OUTAGES } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";

/** Between two attempts: Redis's return is noticed well within a second. */
const RETRY_MS = 250;

/** Repeats a step of the start until the store answers. Rejects with what does not pass by itself, and once it is to stop. */
export type RetryUntilAvailable = <T>(step: () => Promise<T>) => Promise<T>;

export interface StartWait {
  readonly untilAnswered: RetryUntilAvailable;
  /** Gives up, and resolves when the start has come to its end. */
  stop(start: Promise<unknown>): Promise<void>;
}

export interface StartWaitOptions {
  readonly log: Log;
  /** Called when a step fails because the store does not answer. Its rejection ends the start. */
  readonly waits: () => Promise<void>;
}

/** An instance that is started while Redis is down waits for it: to exit would be a back-off of minutes in Kubernetes. */
export function createStartWait({ log, waits }: StartWaitOptions): StartWait {
  const stop = new AbortController();
  let isWaiting = false;
  const untilAnswered: RetryUntilAvailable = async (step) => {
    for (;;) {
      try {
        const found = await step();
        if (isWaiting) log.info({}, OUTAGES.start.healed);
        isWaiting = false;
        return found;
      } catch (error) {
        stop.signal.throwIfAborted();
        if (!passesByItself(error)) throw error;
        if (!isWaiting) log.warn({ err: error }, OUTAGES.start.failed);
        isWaiting = true;
        await waits();
        await pause(RETRY_MS, undefined, { signal: stop.signal });
      }
    }
  };
  return {
    untilAnswered,
    async stop(start) {
      stop.abort();
      await start.catch(() => undefined);
    },
  };
}

function passesByItself(error: unknown): boolean {
  return error instanceof RedisUnavailable && error.rejectedSetting === undefined;
}
