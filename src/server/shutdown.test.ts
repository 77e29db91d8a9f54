import { expect, test } from "vitest";
import { createClosing } from "./shutdown.ts";

test("what was opened last is closed first, and each close has ended before the next begins", async () => {
  const closing = createClosing();
  const seen: string[] = [];
  for (const name of ["store", "door", "socket"]) {
    closing.defer(name, async () => {
      seen.push(`${name} begins`);
      await Promise.resolve();
      seen.push(`${name} ends`);
    });
  }
  expect(await closing.run()).toEqual([]);
  expect(seen).toEqual([
    "socket begins",
    "socket ends",
    "door begins",
    "door ends",
    "store begins",
    "store ends",
  ]);
});

test("one close that fails keeps none of the others from running, and is named with its error", async () => {
  const closing = createClosing();
  const closed: string[] = [];
  const [thrown, rejected] = [new Error("thrown"), new Error("rejected")];
  closing.defer("first", () => void closed.push("first"));
  closing.defer("throws", () => {
    throw thrown;
  });
  closing.defer("rejects", () => Promise.reject(rejected));
  closing.defer("last", () => void closed.push("last"));
  expect(await closing.run()).toEqual([
    { name: "rejects", error: rejected },
    { name: "throws", error: thrown },
  ]);
  expect(closed).toEqual(["last", "first"]);
});

test("closing twice, even at once, closes each thing once", async () => {
  const closing = createClosing();
  let closes = 0;
  closing.defer("door", () => void closes++);
  await Promise.all([closing.run(), closing.run()]);
  await closing.run();
  expect(closes).toBe(1);
});
