import type { Redis } from "ioredis";
import { setTimeoutAfterReads } from "../core/timeout.ts";
import { RedisUnavailable } from "./redis-error.ts";

export type RedisArgument = string | number;

/** Sends a command. Rejects with `RedisUnavailable` if there is no reply in time. */
export type SendCommand = (name: string, args: readonly RedisArgument[]) => Promise<unknown>;

/** The commands of one turn of the event loop. */
interface Batch {
  /** Rejects the commands that have no reply yet. */
  readonly unanswered: Set<(error: RedisUnavailable) => void>;
  timer?: NodeJS.Timeout;
}

/**
 * Sends the commands of one turn of the event loop in one system call, because a hundred Checks may come together. They have
 * one timeout, which starts when they are sent. A process that was stopped, as by a CPU limit, reads the replies that have
 * arrived before its timeout applies.
 */
export function createCommandBatches(redis: Redis, timeoutMs: () => number): SendCommand {
  let current: Batch | undefined;
  const open = (): Batch => {
    const batch: Batch = { unanswered: new Set() };
    const { stream } = redis;
    stream?.cork();
    setImmediate(() => {
      current = undefined;
      stream?.uncork();
      if (batch.unanswered.size === 0) return;
      batch.timer = setTimeoutAfterReads(() => expire(batch), timeoutMs());
    });
    return batch;
  };
  return (name, args) => {
    current ??= open();
    return answered(current, redis.call(name, ...args));
  };
}

function answered(batch: Batch, reply: Promise<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    batch.unanswered.add(reject);
    const settle = () => {
      batch.unanswered.delete(reject);
      if (batch.unanswered.size === 0) clearTimeout(batch.timer);
    };
    reply.then(
      (value) => {
        settle();
        resolve(value);
      },
      (error: unknown) => {
        settle();
        reject(error);
      },
    );
  });
}

function expire({ unanswered }: Batch): void {
  const error = new RedisUnavailable("timeout", "Redis did not respond in time", { cause: undefined });
  for (const reject of unanswered) reject(error);
}
