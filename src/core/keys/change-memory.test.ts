import { expect, test } from "vitest";
import { createChangeMemory } from "./change-memory.ts";
import type { KeyRecord } from "./key-record.ts";

function startMemory(maxRecords = 3) {
  let nowMs = 0;
  const memory = createChangeMemory({ monotonicMs: () => nowMs, maxRecords, maxAgeMs: 1_000_000 });
  return {
    memory,
    at(ms: number) {
      nowMs = ms;
    },
    add(name: string) {
      const change = { put: [], audit: [], auditCursor: name };
      memory.add(change);
      return change;
    },
    names: () => memory.all().map(({ auditCursor }) => auditCursor),
  };
}

test("a change is forgotten once a replica has it and it is older than 60 s, and not before", () => {
  const { memory, at, add, names } = startMemory();
  add("a");
  at(59_999);
  memory.onReplicated(59_999);
  expect(names()).toEqual(["a"]);
  at(200_000);
  memory.onReplicated(-1);
  expect(names()).toEqual(["a"]);
  add("b");
  memory.onReplicated(200_000);
  expect(names()).toEqual(["b"]);
});

test("the memory is bounded, and reports how many changes it has forgotten too early, once", () => {
  const { memory, add, names } = startMemory();
  for (const name of ["a", "b", "c", "d", "e"]) add(name);
  expect(names()).toEqual(["c", "d", "e"]);
  expect([memory.takeForgottenEarly(), memory.takeForgottenEarly()]).toEqual([2, 0]);
});

test("a forgotten change that a replica has by now is not reported", () => {
  const { memory, at, add } = startMemory();
  for (const name of ["a", "b", "c", "d"]) add(name);
  at(100_000);
  memory.onReplicated(10);
  expect(memory.takeForgottenEarly()).toBe(0);
});

test("a change that was entered again counts as a new one", () => {
  const { memory, at, add, names } = startMemory();
  const lost = add("a");
  add("b");
  at(100_000);
  memory.renew(lost, { ...lost, auditCursor: "again" });
  memory.onReplicated(100_000);
  expect(names()).toEqual(["again"]);
});

test("a change is forgotten with its audit event, whether a replica has it or not", () => {
  const { memory, at, add, names } = startMemory();
  add("a");
  at(600_000);
  add("b");
  at(1_000_001);
  expect(names()).toEqual(["b"]);
  at(2_000_000);
  add("c");
  expect(memory.size()).toBe(1);
});

test("a key that is handed out again and again takes one place", () => {
  const { memory, add, names } = startMemory();
  add("a");
  add("b");
  for (let times = 0; times < 5; times++) memory.add({ put: [{ keyId: "k" } as KeyRecord], audit: [] });
  expect(names()).toEqual(["a", "b", undefined]);
  expect(memory.takeForgottenEarly()).toBe(0);
});
