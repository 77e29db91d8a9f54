import { setImmediate as nextTurn } from "node:timers/promises";
import type { Counters } from "./counters.ts";
import { minimise } from "./minimise.ts";
import type { Random } from "./mutate.ts";
import { mutate } from "./mutate.ts";
import type { Target } from "./target.ts";

export interface SearchOptions {
  readonly target: Target;
  readonly counters: Counters;
  readonly random: Random;
  /** Files of the corpus by name. They run first, unchanged. */
  readonly corpus: ReadonlyMap<string, Buffer>;
  readonly dictionary: readonly Buffer[];
  readonly isOver: (runs: number) => boolean;
}

export interface Finding {
  readonly message: string;
  /** What the search has reduced the input to. */
  readonly input: Buffer;
  /** The file of the corpus that fails, if it is one. */
  readonly file?: string;
}

export interface Outcome {
  readonly runs: number;
  /** Inputs that reached something new. */
  readonly population: readonly Buffer[];
  readonly finding?: Finding;
}

/** Statements that any input may cost, in addition to those for its bytes. */
const FIXED_STEPS = 20_000;
const TURN_RUNS = 64;

/** Mutates inputs that reach new code until one violates the target's property, or the search is over. */
export async function search(options: SearchOptions): Promise<Outcome> {
  const { target, counters, random, corpus, dictionary, isOver } = options;
  counters.take();
  const population: Buffer[] = [];
  let runs = 0;
  const failureOf = (input: Buffer): string | undefined => {
    runs++;
    const failure = violation(target, input);
    const { isNew, steps } = counters.take();
    if (isNew) population.push(input);
    const maxSteps = FIXED_STEPS + target.stepsPerByte * input.length;
    return failure ?? (steps > maxSteps ? "more steps than the target allows" : undefined);
  };
  const finding = (input: Buffer, message: string): Finding => ({
    message,
    input: minimise(input, (smaller) => failureOf(smaller)?.split("\n")[0] === message.split("\n")[0]),
  });
  for (const [file, input] of corpus) {
    const message = failureOf(input);
    if (message !== undefined) return { runs, population, finding: { message, input, file } };
  }
  const other = () => population[random(population.length)] ?? Buffer.alloc(0);
  while (!isOver(runs)) {
    // Runs the callbacks that targets leave behind.
    if (runs % TURN_RUNS === 0) await nextTurn();
    const input = mutate(other(), { random, dictionary, other, maxBytes: target.maxBytes });
    const message = failureOf(input);
    if (message !== undefined) return { runs, population, finding: finding(input, message) };
  }
  return { runs, population };
}

/** Each run gets bytes of its own, so that it cannot change the population. */
function violation(target: Target, input: Buffer): string | undefined {
  try {
    target.run(Buffer.from(input));
    return undefined;
  } catch (error) {
    return error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : String(error);
  }
}
