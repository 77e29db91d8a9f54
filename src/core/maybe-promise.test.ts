import { expect, test } from "vitest";
import type { MaybePromise } from "./maybe-promise.ts";
import { chain, chainWith } from "./maybe-promise.ts";

const chains: readonly (readonly [string, (value: MaybePromise<number>) => MaybePromise<string>])[] = [
  ["chain", (value) => chain(value, (number) => `${number}`)],
  ["chainWith", (value) => chainWith(value, "", (number, context) => `${number}${context}`)],
];

test.each(chains)(
  "%s continues at once with a value, and later with the value of a promise",
  async (_, next) => {
    expect(next(1)).toBe("1");
    const later = next(Promise.resolve(2));
    expect(later).toBeInstanceOf(Promise);
    expect(await later).toBe("2");
  },
);

test.each(chains)("%s rejects with the failure of a promise", async (_, next) => {
  await expect(next(Promise.reject(new Error("failed")))).rejects.toThrow("failed");
});

test("the context of a chain reaches the next step, at once and later", async () => {
  const context = { steps: 0 };
  const step = (value: number, of: typeof context) => {
    of.steps += value;
    return of.steps;
  };
  expect(chainWith(1, context, step)).toBe(1);
  expect(await chainWith(Promise.resolve(2), context, step)).toBe(3);
});
