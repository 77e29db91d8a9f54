import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lastLines } from "./last-lines.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "latchkey-lines-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string, atSeconds: number): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  utimesSync(path, atSeconds, atSeconds);
  return path;
}

test("the lines of rotated files come first, and a line that is being written is left out", async () => {
  write("api.log.2026-01-01T000000.000Z", "1\n2\n", 1000);
  write("api.log.2026-01-02T000000.000Z", "3\n", 2000);
  write("api.log.bak", "of another program\n", 2500);
  const path = write("api.log", "4\n5\nhalf", 3000);
  expect(await lastLines(path, 1000)).toEqual(["1", "2", "3", "4", "5"]);
});

test("of more bytes than the maximum, the last whole lines are read", async () => {
  write("api.log.2026-01-01T000000.000Z", "old-1\nold-2\n", 1000);
  const path = write("api.log", "new-1\nnew-2\n", 2000);
  expect(await lastLines(path, 8)).toEqual(["new-2"]);
  expect(await lastLines(path, 12)).toEqual(["new-1", "new-2"]);
  expect(await lastLines(path, 20)).toEqual(["old-2", "new-1", "new-2"]);
});

test("files that are missing have no lines", async () => {
  expect(await lastLines(join(folder, "nothing", "api.log"), 100)).toEqual([]);
});
