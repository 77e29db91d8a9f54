import { expect, test } from "vitest";
import { above, memoryGrowth } from "./flat.ts";

const rows = (...live: readonly number[]) => live.map((live_mb) => ({ live_mb, issued_keys: 0 }));
const steady = [30, 45, 50, 52, 49, 51, 50, 53, 50, 51, 49, 52];

test("memory that varies is flat, whatever single rows and the warm-up show", () => {
  expect(memoryGrowth(rows(...steady))).toEqual([]);
  expect(memoryGrowth(rows(...steady.with(10, 400)))).toEqual([]);
  expect(memoryGrowth(rows(...steady.with(0, 500)))).toEqual([]);
});

test("memory that grows with the requests is not flat", () => {
  expect(memoryGrowth(rows(...steady.map((live, at) => live + 2 * at)))).toEqual([
    expect.stringMatching(/^live memory grew/),
  ]);
});

test("new keys may be kept, but not more than they need", () => {
  const kept = (mb: number) =>
    steady.map((live, at) => ({ live_mb: live + at * mb, issued_keys: 1000 * at }));
  expect(memoryGrowth(kept(3))).toEqual([]);
  expect(memoryGrowth(kept(7))).toEqual([expect.stringMatching(/^live memory grew/)]);
});

test("too few rows are no proof", () => {
  expect(memoryGrowth(rows(50, 50))).toEqual(["2 rows are too few to compare"]);
});

test("one descriptor, socket, connection or handle more is reported", () => {
  const rest = { fds: 40, sockets: 9, grpc_connections: 1, handles: 12 };
  expect(above(rest, { ...rest, fds: 39 })).toEqual([]);
  for (const name of ["fds", "sockets", "grpc_connections", "handles"] as const)
    expect(above(rest, { ...rest, [name]: rest[name] + 1 })).toEqual([
      `${name}: ${rest[name]} at the start, ${rest[name] + 1} at the end`,
    ]);
});
