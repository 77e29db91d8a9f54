import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createOutput } from "./output.ts";

const closes: (() => void)[] = [];

afterEach(() => {
  for (const close of closes.splice(0).reverse()) close();
});

/** A pipe whose reader takes bytes only when it is asked to. */
function openPipe() {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-output-"));
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  closes.push(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const buffer = Buffer.alloc(64 * 1024);
  return {
    fd,
    readAll(): string {
      let text = "";
      for (;;) {
        try {
          text += buffer.toString("utf8", 0, readSync(fd, buffer));
        } catch {
          return text;
        }
      }
    },
  };
}

const lines = (count: number, from = 0) =>
  Array.from({ length: count }, (_, at) => `${from + at} ${"x".repeat(100)}`);
const textOf = (all: readonly string[]) => `${all.join("\n")}\n`;

test("a line that was cut off is finished before the next one, and counts as begun", async () => {
  const { fd, readAll } = openPipe();
  const output = createOutput(fd);
  const many = lines(5000);
  const { isWhole, begunLines } = await output.deliver(textOf(many), 60_000);
  expect(isWhole).toBe(false);
  expect(begunLines).toBeGreaterThan(100);
  expect(begunLines).toBeLessThan(many.length);
  expect(output.dropped()).toBe(many.length - begunLines);
  const taken = readAll();
  const next = lines(3, 5000);
  expect(await output.deliver(textOf(next), 60_000)).toEqual({ isWhole: true, begunLines: 3 });
  expect(taken + readAll()).toBe(textOf([...many.slice(0, begunLines), ...next]));
});
