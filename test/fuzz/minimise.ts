import type { Conversation, Field, Request, Text } from "./conversation.ts";
import { plain } from "./conversation.ts";

type Fails<T> = (smaller: T) => Promise<boolean>;

/** A minimal batch that still fails. */
export async function minimise(
  batch: readonly Conversation[],
  fails: Fails<readonly Conversation[]>,
): Promise<readonly Conversation[]> {
  const few = await fewer(batch, fails);
  const small = await eachSmaller(few, fails, smallerConversation);
  // If several items fail independently, the first ones have been emptied now.
  return fewer(small, fails);
}

/** Removes halves, then quarters, and finally single items. */
async function fewer<T>(items: readonly T[], fails: Fails<readonly T[]>): Promise<readonly T[]> {
  let left = items;
  for (let size = Math.ceil(items.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < left.length; ) {
      const without = left.toSpliced(start, size);
      if (await fails(without)) left = without;
      else start += size;
    }
  }
  return left;
}

/** Makes each item smaller in its place. */
async function eachSmaller<T>(
  items: readonly T[],
  fails: Fails<readonly T[]>,
  smaller: (item: T, fails: Fails<T>) => Promise<T>,
): Promise<readonly T[]> {
  let left = items;
  for (const [at, item] of items.entries())
    left = left.with(at, await smaller(item, (changed) => fails(left.with(at, changed))));
  return left;
}

/** The first of these candidates that still fails, if any. */
async function firstOf<T>(item: T, changes: readonly Partial<T>[], fails: Fails<T>): Promise<T> {
  let left = item;
  for (const change of changes) {
    const changed = { ...left, ...change };
    if (await fails(changed)) left = changed;
  }
  return left;
}

async function smallerConversation(whole: Conversation, fails: Fails<Conversation>): Promise<Conversation> {
  const simple = await firstOf<Conversation>(
    whole,
    [
      { copies: 1 },
      { ending: { kind: "read" } },
      { frames: { block: 16_384, padding: 0 } },
      { version: "1.1" },
    ],
    fails,
  );
  const put = (requests: readonly Request[]) => fails({ ...simple, requests });
  const few = await fewer(simple.requests, put);
  return { ...simple, requests: await eachSmaller(few, put, smallerRequest) };
}

async function smallerRequest(whole: Request, fails: Fails<Request>): Promise<Request> {
  const simple = await firstOf<Request>(
    whole,
    [{ body: undefined }, { method: "GET" }, { target: plain("/a/x") }, { authority: "api.example" }],
    fails,
  );
  const put = (fields: readonly Field[]) => fails({ ...simple, fields });
  const few = await fewer(simple.fields, put);
  return { ...simple, fields: await eachSmaller(few, put, smallerField) };
}

async function smallerField([name, value]: Field, fails: Fails<Field>): Promise<Field> {
  const few = await fewer(value, (runs) => fails([name, runs]));
  return [name, await eachSmaller(few, (runs) => fails([name, runs]), shorterRun)];
}

type Run = Text[number];

async function shorterRun([unit, times]: Run, fails: Fails<Run>): Promise<Run> {
  let left = times;
  while (left > 1 && (await fails([unit, Math.floor(left / 2)]))) left = Math.floor(left / 2);
  return [unit, left];
}
