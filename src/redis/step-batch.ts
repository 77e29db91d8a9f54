import type { Breaker } from "../core/limits/breaker.ts";
import type { RedisArgument, RedisScript } from "./client.ts";
import { RedisUnavailable } from "./redis-error.ts";
import type { SpreadClient } from "./spread-client.ts";

/** A script that takes one step on each of its keys, such as lease.lua. */
export interface StepScript {
  readonly source: string;
  readonly name: string;
  /** The arguments before those of the steps. */
  readonly head: readonly RedisArgument[];
  /** The number of integers that it returns for each key. */
  readonly replyLength: number;
}

export interface StepBatchOptions {
  /** Prevents Checks from waiting for an unavailable Redis. */
  readonly breaker: Breaker;
  readonly monotonicMs: () => number;
}

/** Takes a step on a key. Rejects if no response arrived. Redis may have executed the step then. It is never resent. */
export type TakeStep = (key: string, args: readonly RedisArgument[]) => Promise<readonly number[]>;

/** Maximum number of keys of one script, because Redis runs one script at a time for all instances. */
const MAX_STEPS = 50;

interface Step {
  readonly key: string;
  readonly args: readonly RedisArgument[];
  readonly resolve: (reply: readonly number[]) => void;
  readonly reject: (error: unknown) => void;
}

/** The steps of Checks that arrived together share a script per slot, whose failure counts for each of them. */
export function createStepBatch(
  client: SpreadClient,
  script: StepScript,
  { breaker, monotonicMs }: StepBatchOptions,
): TakeStep {
  const run = client.script(script.source, script.name);
  let waiting: Step[] = [];
  const fail = ({ reject }: Step, error: unknown): void => {
    breaker.failed(monotonicMs());
    reject(error);
  };
  const send = async (steps: readonly Step[]): Promise<void> => {
    try {
      const replies = await runSteps(run, script, steps);
      for (const [index, step] of steps.entries()) {
        const start = script.replyLength * index;
        const reply = replies.slice(start, start + script.replyLength);
        if (!reply.every(Number.isSafeInteger)) fail(step, unexpectedReply(script));
        else {
          breaker.succeeded();
          step.resolve(reply);
        }
      }
    } catch (error) {
      for (const step of steps) fail(step, error);
    }
  };
  const sendWaiting = () => {
    const bySlot = Map.groupBy(waiting, ({ key }) => client.slotOf(key));
    waiting = [];
    for (const steps of bySlot.values())
      for (let start = 0; start < steps.length; start += MAX_STEPS)
        void send(steps.slice(start, start + MAX_STEPS));
  };
  return (key, args) => {
    if (!breaker.admits(monotonicMs()))
      return Promise.reject(
        new RedisUnavailable("connection", "Redis does not respond", { cause: undefined }),
      );
    const { promise, resolve, reject } = Promise.withResolvers<readonly number[]>();
    if (waiting.length === 0) queueMicrotask(sendWaiting);
    waiting.push({ key, args, resolve, reject });
    return promise;
  };
}

async function runSteps(
  run: RedisScript,
  script: StepScript,
  steps: readonly Step[],
): Promise<readonly number[]> {
  const args: RedisArgument[] = [...script.head];
  for (const step of steps) args.push(...step.args);
  const replies = await run(
    steps.map(({ key }) => key),
    args,
  );
  if (!Array.isArray(replies) || replies.length !== script.replyLength * steps.length)
    throw unexpectedReply(script);
  return replies.map(Number);
}

function unexpectedReply({ name }: StepScript): Error {
  return new Error(`${name}.lua sent an unexpected reply`);
}
