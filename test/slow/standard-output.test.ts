import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { PROGRAM } from "../support/program.ts";

const ADMIN_TOKEN = newSecret();
let latchkey: TestedLatchkey;
let operator: LatchkeyClient;
let keyId: string;

beforeAll(async () => {
  latchkey = await startLatchkey({ ADMIN_TOKEN });
  operator = createClient({ url: `http://${latchkey.http}`, token: ADMIN_TOKEN });
  keyId = (await operator.register({ name: "first", key_type: "basic" })).key_id;
});
afterAll(async () => {
  await latchkey?.stop();
});

const env = () => ({
  ...CLEAN_ENVIRONMENT,
  LATCHKEY_URL: `http://${latchkey.http}`,
  LATCHKEY_TOKEN: ADMIN_TOKEN,
});

/** A command whose output the shell redirects. */
function inShell(args: readonly string[], redirection: string) {
  const command = `"${process.execPath}" "${PROGRAM}" ${args.join(" ")} ${redirection}`;
  return spawnSync("sh", ["-c", command], { encoding: "utf8", env: env() });
}

/** A command whose reader is closed before it prints. */
async function unread(args: readonly string[]) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: env(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.destroy();
  const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  return { status, stderr };
}

async function count(): Promise<number> {
  return (await operator.keys.list({})).keys.length;
}

const issuing = () => [
  ["keys", "register", "--name", "n", "--role", "basic"],
  ["keys", "register", "--name", "n", "--role", "basic", "--json"],
  ["keys", "rotate", keyId],
];
const ID = /\b\w+_\d+_[\w-]{22}\b/;

describe("a key that cannot be written to stdout", () => {
  test.each([">&-", ">/dev/null"])("no key is issued if stdout is %s", async (redirection) => {
    const before = await count();
    for (const args of issuing()) {
      const { status, stderr } = inShell(args, redirection);
      expect([status, stderr]).toEqual([2, expect.stringContaining("no key was requested")]);
    }
    expect(await count()).toBe(before);
  });

  test("the issued key's id is named on stderr if the disk is full, and the exit code is not 0", () => {
    for (const args of issuing().slice(0, 2)) {
      const { status, stderr } = inShell(args, ">/dev/full");
      expect([status, stderr]).toEqual([1, expect.stringMatching(ID)]);
      expect(stderr).toContain("standard output cannot be written");
      expect(stderr).not.toMatch(/^\s+at /m);
    }
  });

  test("the issued key's id is named on stderr if the reader is closed, and the exit code is not 0", async () => {
    for (const args of issuing().slice(0, 2)) {
      const { status, stderr } = await unread(args);
      expect([status, stderr]).toEqual([141, expect.stringMatching(ID)]);
    }
  });
});

test("a failed write sets the exit code of any command, and prints no stack", async () => {
  for (const args of [["keys", "list"], ["keys", "show", keyId], ["secrets", "add"], ["--help"]]) {
    const full = inShell(args, ">/dev/full");
    expect([args, full.status, full.stderr]).toEqual([args, 1, expect.stringContaining("cannot be written")]);
    expect(full.stderr).not.toMatch(/^\s+at /m);
    const gone = await unread(args);
    expect([args, gone.status]).toEqual([args, 141]);
    expect(gone.stderr).not.toMatch(/^\s+at /m);
  }
});

test("a stderr that accepts nothing ends no command", () => {
  const { status, stdout } = inShell(["keys", "register", "--name", "n", "--role", "basic"], "2>/dev/full");
  expect([status, stdout]).toEqual([0, expect.stringMatching(/^ey/)]);
});
