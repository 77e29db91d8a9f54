import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { removeStaleSocket } from "./socket-file.ts";

const folder = mkdtempSync(join(tmpdir(), "latchkey-socket-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("the socket of a killed process is removed", async () => {
  const path = join(folder, "dead");
  const program = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", program]);
  expect(existsSync(path)).toBe(true);
  await removeStaleSocket(path);
  expect(existsSync(path)).toBe(false);
});

test("a socket on which a process listens, another file, and a missing file are not touched", async () => {
  const live = join(folder, "live");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(live, resolve));
  const file = join(folder, "file");
  writeFileSync(file, "");
  await Promise.all([live, file, join(folder, "none")].map(removeStaleSocket));
  expect([existsSync(live), existsSync(file)]).toEqual([true, true]);
  server.close();
});
