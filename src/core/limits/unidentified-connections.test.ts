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

test("a client that uses many addresses of its IPv6 network loses its own connections", () => {
  const { add, closed } = bounded(4);
  for (const name of ["caller", "its second"]) add(name, "192.0.2.1");
  for (let count = 0; count < 100; count++) add(`flood ${count}`, `2001:db8::${count.toString(16)}`);
  expect(closed).toHaveLength(98);
  expect(closed.filter((name) => !name.startsWith("flood"))).toEqual([]);
});

test("the address with the most connections loses one, although another one came last", () => {
  const { add, closed } = bounded(3);
  for (const name of ["a", "b", "c"]) add(name, "192.0.2.1");
  add("caller", "198.51.100.1");
  expect(closed).toEqual(["a"]);
});

test("of addresses with equally many connections, the one that came first loses one", () => {
  const { add, remove, closed } = bounded(1);
  add("a", "192.0.2.1");
  add("b", "198.51.100.1");
  expect(closed).toEqual(["a"]);
  add("c", "192.0.2.1");
  expect(closed).toEqual(["a", "b"]);
  remove("c");
  add("d", "198.51.100.1");
  add("e", "192.0.2.1");
  expect(closed).toEqual(["a", "b", "d"]);
});

test("a connection counts once, for its latest address", () => {
  const { add, closed } = bounded(2);
  add("a", "192.0.2.1");
  add("a", "198.51.100.1");
  for (const name of ["b", "c"]) add(name, "192.0.2.1");
  expect(closed).toEqual(["b"]);
});
