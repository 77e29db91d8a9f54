import { expect, test } from "vitest";
import { createUnidentifiedConnections } from "./unidentified-connections.ts";

function bounded(max: number) {
  const closed: string[] = [];
  const connections = createUnidentifiedConnections<string>(max, (name) => closed.push(name));
  return {
    closed,
    remove: connections.remove,
    add: (name: string, from: string) => connections.add(name, name, from),
  };
}

test("above the maximum the oldest connection is closed", () => {
  const { add, closed } = bounded(2);
  for (const name of ["a", "b"]) add(name, "192.0.2.1");
  expect(closed).toEqual([]);
  for (const name of ["c", "d"]) add(name, "192.0.2.1");
  expect(closed).toEqual(["a", "b"]);
});

test("an identified connection is not closed, and does not count", () => {
  const { add, remove, closed } = bounded(2);
  add("a", "192.0.2.1");
  remove("a");
  remove("a");
  for (const name of ["b", "c"]) add(name, "192.0.2.1");
  expect(closed).toEqual([]);
});

test("an address with many connections loses its own, and no other address loses one", () => {
  const { add, closed } = bounded(3);
  add("caller", "198.51.100.1");
  for (let count = 0; count < 100; count++) add(`flood ${count}`, "192.0.2.1");
  expect(closed).toHaveLength(98);
  expect(closed).not.toContain("caller");
});
