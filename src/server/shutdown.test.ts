import { expect, test } from "vitest";
import { createClosing } from "./shutdown.ts";

test("what was opened last is closed first, and each close has ended before the next begins", async () => {
  const closing = createClosing();
  const seen: string[] = [];
  for (const name of ["store", "door", "socket"]) {
    closing.later(name, async () => {
      seen.push(`${name} begins`);
      await Promise.resolve();
      seen.push(`${name} ends`);
    });
  }
  expect(await closing.closeAll()).toEqual([]);
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
  closing.later("first", () => void closed.push("first"));
  closing.later("throws", () => {
    throw thrown;
  });
  closing.later("rejects", () => Promise.reject(rejected));
  closing.later("last", () => void closed.push("last"));
  expect(await closing.closeAll()).toEqual([
    { name: "rejects", error: rejected },
    { name: "throws", error: thrown },
  ]);
  expect(closed).toEqual(["last", "first"]);
});

test("closing twice, even at once, closes each thing once", async () => {
  const closing = createClosing();
  let closes = 0;
  closing.later("door", () => void closes++);
  await Promise.all([closing.closeAll(), closing.closeAll()]);
  await closing.closeAll();
  expect(closes).toBe(1);
});
