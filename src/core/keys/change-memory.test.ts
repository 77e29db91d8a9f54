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

test("a forgotten change is reported while no replica has it, although it is old", () => {
  const { memory, at, add } = startMemory();
  for (const [ms, name] of ["a", "b", "c", "d", "e"].entries()) {
    at(10_000 * ms);
    add(name);
  }
  at(200_000);
  // "b" was forgotten last, and was added at 10 s.
  memory.onReplicated(9_999);
  expect(memory.takeForgottenEarly()).toBe(2);
  add("f");
  memory.onReplicated(20_000);
  expect(memory.takeForgottenEarly()).toBe(0);
});

test("a change that was entered again counts as a new one", () => {
  const { memory, at, add, names } = startMemory();
  const lost = add("a");
  add("b");
  at(100_000);
  memory.renew(lost, { ...lost, auditCursor: "again" });
  expect(names()).toEqual(["b", "again"]);
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

const key = (keyId: string) => ({ keyId }) as KeyRecord;
const handOut = (keyId: string) => ({ put: [key(keyId)], audit: [] });

test("a key that is handed out again and again takes one place", () => {
  const { memory, add, names } = startMemory();
  add("a");
  add("b");
  for (let times = 0; times < 5; times++) memory.add(handOut("k"));
  expect(names()).toEqual(["a", "b", undefined]);
  expect(memory.takeForgottenEarly()).toBe(0);
});

test("a key that is handed out again after it was forgotten takes its place again", () => {
  const { memory, at, add, names } = startMemory();
  memory.add(handOut("k"));
  at(100_000);
  memory.onReplicated(100_000);
  expect(memory.size()).toBe(0);
  for (let times = 0; times < 2; times++) memory.add(handOut("k"));
  add("a");
  expect(names()).toEqual([undefined, "a"]);
});

test("every change of a key is remembered beside that it was handed out", () => {
  const { memory, names } = startMemory();
  for (const auditCursor of ["registered", "rotated"])
    memory.add({ put: [key("k")], audit: [], auditCursor });
  memory.add(handOut("k"));
  expect(names()).toEqual(["registered", "rotated", undefined]);
});

test("the memory is bounded by keys, and a change of many keys takes a place for each", () => {
  const { memory, add, names } = startMemory();
  memory.add({ put: [key("k"), key("l")], audit: [], auditCursor: "exchanged" });
  add("a");
  expect(names()).toEqual(["exchanged", "a"]);
  add("b");
  expect(names()).toEqual(["a", "b"]);
});
