import type { Redis } from "ioredis";
import { setTimeoutAfterReads } from "../core/timeout.ts";
import { type RedisUnavailable, timedOut } from "./redis-error.ts";

export type RedisArgument = string | number;

/** Sends a command. Rejects with `RedisUnavailable` if there is no reply in time. */
export type SendCommand = (name: string, args: readonly RedisArgument[]) => Promise<unknown>;

/**
 * Milliseconds. A process that was stopped, as by a CPU limit, reads what has arrived before a timeout applies. The timers of
 * ioredis would not.
 */
export interface CommandTimeouts {
  readonly commandMs: () => number;
  /** A connection that has sent nothing for this time, while commands wait, is ended: its packets may be dropped. */
  readonly silenceMs: () => number;
}

/** The commands of one turn of the event loop. */
interface Batch {
  /** Rejects the commands that have no reply yet. */
  readonly unanswered: Set<(error: RedisUnavailable) => void>;
  timer?: NodeJS.Timeout;
}

/**
 * Sends the commands of one turn of the event loop in one system call, because a hundred Checks may come together. They have
 * one timeout, which starts when they are sent.
 */
export function createCommandBatches(redis: Redis, timeouts: CommandTimeouts): SendCommand {
  /** Commands without a reply, also those that have timed out. */
  let waiting = 0;
  const watch = createSilenceWatch(() => waiting > 0, timeouts.silenceMs);
  let current: Batch | undefined;
  const open = (): Batch => {
    const batch: Batch = { unanswered: new Set() };
    const { stream } = redis;
    stream?.cork();
    setImmediate(() => {
      current = undefined;
      stream?.uncork();
      if (batch.unanswered.size === 0) return;
      batch.timer = setTimeoutAfterReads(() => expire(batch), timeouts.commandMs());
      watch(stream);
    });
    return batch;
  };
  return (name, args) => {
    current ??= open();
    waiting++;
    return answered(current, redis.call(name, ...args), () => waiting--);
  };
}

function answered(batch: Batch, reply: Promise<unknown>, onAnswer: () => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    batch.unanswered.add(reject);
    const settle = () => {
      onAnswer();
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
  const error = timedOut();
  for (const reject of unanswered) reject(error);
}

/** However long the process was stopped, one look passes meanwhile. */
const LOOKS = 4;

/** Ends connections that are silent while commands wait. Call the function after each command. */
function createSilenceWatch(
  isWaiting: () => boolean,
  silenceMs: () => number,
): (stream: Redis["stream"] | undefined) => void {
  let watched: Redis["stream"] | undefined;
  const look = (stream: Redis["stream"], silentLooks: number) => {
    watched = stream;
    const { bytesRead } = stream;
    const onDue = () => {
      if (watched === stream) watched = undefined;
      if (stream.destroyed || !isWaiting()) return;
      const silent = stream.bytesRead === bytesRead ? silentLooks + 1 : 0;
      if (silent < LOOKS) return look(stream, silent);
      stream.destroy(new Error(`it sent nothing for ${silenceMs()} ms`));
    };
    setTimeoutAfterReads(onDue, silenceMs() / LOOKS).unref();
  };
  return (stream) => {
    if (stream !== undefined && stream !== watched) look(stream, 0);
  };
}
