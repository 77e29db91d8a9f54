import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import type { ChainState } from "../../src/audit/chain.ts";
import { openAuditFile } from "../../src/audit/file.ts";
import { createAuditLog } from "../../src/audit/log.ts";
import { createAuditRetention } from "../../src/audit/retention.ts";
import { createVerification } from "../../src/audit/verification.ts";
import type { AuditEvent } from "../../src/core/audit/audit-event.ts";

const KEY = "audit-key-audit-key-audit-key-123";
const folder = mkdtempSync(join(tmpdir(), "latchkey-verification-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;
const newRandom = () => `chain${made++}`;

async function openLog({ maxBytes = 100_000_000 } = {}) {
  const path = join(folder, `${made++}`, "api.log");
  const file = await openAuditFile({
    path,
    claim: () => ({ release: () => undefined }),
    key: KEY,
    nowMs: Date.now,
    maxBytes,
    makeFolder: (of) => void mkdirSync(of, { recursive: true }),
    newRandom,
  });
  const log = createAuditLog({
    key: KEY,
    file,
    output: {
      maxPieceBytes: 4096,
      write: () => undefined,
      deliver: () => expect.unreachable(),
      dropped: () => 0,
    },
    newRandom,
    nowMs: Date.now,
    observe: () => undefined,
    onDropped: () => undefined,
    throttled: () => undefined,
  });
  const retention = createAuditRetention({
    file,
    log,
    key: KEY,
    maxFiles: 3,
    maxAgainBytes: 2000,
    maxAgeMs: 1e12,
    nowMs: Date.now,
  });
  return { path, file, log, dropFiles: retention };
}

function events(count: number): AuditEvent[] {
  return Array.from({ length: count }, () => ({
    eventId: `e${made++}`,
    atMs: 0,
    event: "key_registered",
    outcome: "done",
    actor: "anonymous",
  }));
}

/** Verifies once, and resolves with the final state. */
async function verify(path: string, written: () => ChainState) {
  const verification = createVerification({ path, key: KEY, written, nowMs: Date.now });
  expect(verification.start().kind).toBe("running");
  // A second start joins the first run.
  expect(verification.start()).toBe(verification.state());
  await expect.poll(() => verification.state().kind, { interval: 5 }).not.toBe("running");
  return verification.state();
}

test("a log that is written, rotated and dropped meanwhile is intact in every run", async () => {
  const { path, file, log, dropFiles } = await openLog({ maxBytes: 3000 });
  let goesOn = true;
  const writing = (async () => {
    while (goesOn) {
      await log.events(events(3));
      await dropFiles();
      await pause(20);
    }
  })();
  try {
    for (let run = 0; run < 4; run++)
      expect(await verify(path, log.state)).toMatchObject({ kind: "done", verified: { ok: true } });
    expect(readdirSync(dirname(path)).length).toBeGreaterThan(2);
  } finally {
    goesOn = false;
    await writing;
    await file.close();
  }
}, 60_000);

test("a line of another process that is not complete yet is no fault, and a log whose end is cut off is one", async () => {
  const { path, file, log } = await openLog();
  await log.events(events(20));
  appendFileSync(path, '{"audit":"API_AUDIT","instance":"other","n":1,');
  expect(await verify(path, log.state)).toMatchObject({ verified: { ok: true, lines: 20 } });
  truncateSync(path, readFileSync(path, "utf8").lastIndexOf("\n", readFileSync(path).length - 60) - 300);
  expect(await verify(path, log.state)).toMatchObject({
    kind: "done",
    verified: { ok: false, problem: expect.stringContaining("the end is cut off") },
  });
  await file.close();
});

test("a run that starts right after the result of another one reads the files again", async () => {
  const { path, file, log } = await openLog();
  const verification = createVerification({ path, key: KEY, written: log.state, nowMs: Date.now });
  verification.start();
  for (let run = 1; run <= 3; run++) {
    while (verification.state().kind === "running") await pause(0);
    expect(verification.state()).toMatchObject({ verified: { ok: true, lines: run - 1 } });
    await log.events(events(1));
    expect(verification.start()).toMatchObject({ kind: "running" });
  }
  await verification.stop();
  expect(verification.state().kind).not.toBe("running");
  await file.close();
});

test("an empty log is intact before its first line, and broken when it had lines", async () => {
  const { path, file, log } = await openLog();
  expect(await verify(path, log.state)).toMatchObject({ verified: { ok: true, lines: 0 } });
  await log.events(events(2));
  truncateSync(path, 0);
  expect(await verify(path, log.state)).toMatchObject({ verified: { ok: false } });
  await file.close();
});

test("a pipe among the files is a failure that blocks nothing", async () => {
  const { path, file, log } = await openLog();
  await log.events(events(2));
  execFileSync("mkfifo", [`${path}.2026-11-30T000000.000Z`]);
  for (let run = 0; run < 5; run++)
    expect(await verify(path, log.state)).toMatchObject({
      kind: "failed",
      problem: "api.log.2026-11-30T000000.000Z is not a regular file",
    });
  await log.events(events(2));
  await file.close();
});

test("a folder that cannot be read is a failure, not a broken chain", async () => {
  const state = await verify(join(folder, "missing", "api.log"), () => ({ instance: "x", n: 1, hmac: "" }));
  expect(state).toMatchObject({ kind: "failed", problem: expect.stringContaining("ENOENT") });
});
