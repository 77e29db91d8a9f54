import { expect, test } from "vitest";
import { createShutdown } from "./shutdown.ts";

test("closes run in reverse order, each after the one before has ended", async () => {
  const shutdown = createShutdown();
  const seen: string[] = [];
  for (const name of ["store", "listener", "socket"]) {
    shutdown.defer(name, async () => {
      seen.push(`${name} begins`);
      await Promise.resolve();
      seen.push(`${name} ends`);
    });
  }
  expect(await shutdown.run()).toEqual([]);
  expect(seen).toEqual([
    "socket begins",
    "socket ends",
    "listener begins",
    "listener ends",
    "store begins",
    "store ends",
  ]);
});

test("a failed close does not stop the others, and is returned with its name and error", async () => {
  const shutdown = createShutdown();
  const closed: string[] = [];
  const [thrown, rejected] = [new Error("thrown"), new Error("rejected")];
  shutdown.defer("first", () => void closed.push("first"));
  shutdown.defer("throws", () => {
    throw thrown;
  });
  shutdown.defer("rejects", () => Promise.reject(rejected));
  shutdown.defer("last", () => void closed.push("last"));
  expect(await shutdown.run()).toEqual([
    { name: "rejects", error: rejected },
    { name: "throws", error: thrown },
  ]);
  expect(closed).toEqual(["last", "first"]);
});

test("running twice, even concurrently, closes each thing once", async () => {
  const shutdown = createShutdown();
  let closes = 0;
  shutdown.defer("listener", () => void closes++);
  await Promise.all([shutdown.run(), shutdown.run()]);
  await shutdown.run();
  expect(closes).toBe(1);
});
