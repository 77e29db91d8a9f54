import { expect, test } from "vitest";
import { createUnidentifiedConnections } from "./unidentified-connections.ts";

function bounded(max: number) {
  const expelled: string[] = [];
  const newcomers = createUnidentifiedConnections<string>(max, (name) => expelled.push(name));
  return {
    expelled,
    remove: newcomers.remove,
    add: (name: string, from: string) => newcomers.add(name, name, from),
  };
}

test("the oldest newcomer makes way for a new one, and none before there are too many", () => {
  const { add, expelled } = bounded(2);
  for (const name of ["a", "b"]) add(name, "192.0.2.1");
  expect(expelled).toEqual([]);
  for (const name of ["c", "d"]) add(name, "192.0.2.1");
  expect(expelled).toEqual(["a", "b"]);
});

test("whoever has said what it wants is not expelled, and leaves its place", () => {
  const { add, remove, expelled } = bounded(2);
  add("a", "192.0.2.1");
  remove("a");
  remove("a");
  for (const name of ["b", "c"]) add(name, "192.0.2.1");
  expect(expelled).toEqual([]);
});

test("an address with many newcomers expels its own, and none of another address", () => {
  const { add, expelled } = bounded(3);
  add("caller", "198.51.100.1");
  for (let count = 0; count < 100; count++) add(`flood ${count}`, "192.0.2.1");
  expect(expelled).toHaveLength(98);
  expect(expelled).not.toContain("caller");
});
