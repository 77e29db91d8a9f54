import type { RedisArgument, RedisScript } from "./client.ts";
import { RedisUnavailable } from "./redis-error.ts";
import type { ServerBreakers } from "./server-breakers.ts";
import type { SpreadClient } from "./spread-client.ts";

/** A script that takes steps, each on a key of its own, such as lease.lua. */
export interface StepScript<Reply> {
  readonly source: string;
  readonly name: string;
  /** The arguments before those of the steps. */
  readonly head: readonly RedisArgument[];
  /** The number of integers that it returns for each step. */
  readonly replyLength: number;
  /** Reads the integers of one step, which begin at `at`. */
  readonly replyOf: (numbers: readonly number[], at: number) => Reply;
}

/**
 * Takes a step on a key. Rejects if no response arrived. Redis may have executed the step then. It is never resent.
 * @param more further keys of the step, in the same slot
 * @param probe the arguments of a step that takes nothing, to find out whether an unavailable server is back
 */
export type TakeStep<Reply> = (
  key: string,
  args: readonly RedisArgument[],
  probe: () => readonly RedisArgument[],
  more?: readonly string[],
) => Promise<Reply>;

/** Maximum number of steps of one script, because Redis runs one script at a time for all instances. */
const MAX_STEPS = 50;

const NO_KEYS: readonly string[] = [];

interface Step<Reply> {
  readonly key: string;
  readonly more: readonly string[];
  readonly args: readonly RedisArgument[];
  readonly probe: () => readonly RedisArgument[];
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/** The steps of Checks that arrived together share a script per slot, whose failure counts for each of them. */
export function createStepBatch<Reply>(
  client: SpreadClient,
  script: StepScript<Reply>,
  servers: ServerBreakers,
): TakeStep<Reply> {
  const run = client.script(script.source, script.name);
  let waiting: Step<Reply>[] = [];
  const fail = (step: Step<Reply>, error: unknown): void => {
    servers.failed(step.key, () => sendAlone({ ...step, args: step.probe(), more: NO_KEYS }));
    step.reject(error);
  };
  const send = async (steps: readonly Step<Reply>[]): Promise<void> => {
    try {
      const replies = await runSteps(run, script, steps);
      for (const [index, step] of steps.entries()) {
        const at = script.replyLength * index;
        if (!areIntegers(replies, at, script.replyLength)) fail(step, unexpectedReply(script));
        else {
          servers.succeeded(step.key);
          step.resolve(script.replyOf(replies, at));
        }
      }
    } catch (error) {
      // The slot is moving, and has moved in part. The script has not run. One of a single key will.
      const isMoving = error instanceof RedisUnavailable && error.code === "TRYAGAIN";
      if (isMoving && steps.length > 1) for (const step of steps) void send([step]);
      // A single step of several keys is repeated by its caller. Its server works.
      else if (isMoving) for (const step of steps) step.reject(error);
      else for (const step of steps) fail(step, error);
    }
  };
  const sendAlone = (step: Omit<Step<Reply>, "resolve" | "reject">) => {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    void send([{ ...step, resolve, reject }]);
    return promise;
  };
  const sendWaiting = () => {
    const bySlot = Map.groupBy(waiting, ({ key }) => client.slotOf(key));
    waiting = [];
    for (const steps of bySlot.values())
      for (let start = 0; start < steps.length; start += MAX_STEPS)
        void send(steps.slice(start, start + MAX_STEPS));
  };
  return (key, args, probe, more = NO_KEYS) => {
    if (!servers.admits(key))
      return Promise.reject(
        new RedisUnavailable("connection", "Redis does not respond", { cause: undefined }),
      );
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    if (waiting.length === 0) queueMicrotask(sendWaiting);
    waiting.push({ key, more, args, probe, resolve, reject });
    return promise;
  };
}

async function runSteps<Reply>(
  run: RedisScript,
  script: StepScript<Reply>,
  steps: readonly Step<Reply>[],
): Promise<readonly number[]> {
  const keys: string[] = [];
  const args: RedisArgument[] = [...script.head];
  for (const step of steps) {
    keys.push(step.key, ...step.more);
    args.push(...step.args);
  }
  const replies = await run(keys, args);
  if (!Array.isArray(replies) || replies.length !== script.replyLength * steps.length)
    throw unexpectedReply(script);
  return replies.map(Number);
}

function areIntegers(numbers: readonly number[], from: number, count: number): boolean {
  for (let at = from; at < from + count; at++) if (!Number.isSafeInteger(numbers[at])) return false;
  return true;
}

function unexpectedReply({ name }: Pick<StepScript<unknown>, "name">): Error {
  return new Error(`${name}.lua sent an unexpected reply`);
}
