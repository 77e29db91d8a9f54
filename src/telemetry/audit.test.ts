import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { AuditEvent } from "../core/audit-event.ts";
import { hmacOf } from "./audit-chain.ts";
import { openAuditFile } from "./audit-file.ts";
import { createAuditLog } from "./audit-log.ts";
import { verifyAudit } from "./audit-verify.ts";

const KEY = "audit-key-audit-key-audit-key-123";
const folder = mkdtempSync(join(tmpdir(), "latchkey-audit-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;

function newPath(): string {
  return join(folder, `${made++}`, "api.log");
}

function event(more: Partial<AuditEvent> = {}): AuditEvent {
  return {
    eventId: `e${made++}`,
    atMs: 0,
    event: "key_registered",
    outcome: "done",
    actor: "anonymous",
    ...more,
  };
}

function openLog(path: string) {
  const file = openAuditFile(path, KEY, () => 0);
  const printed: string[] = [];
  const dropped = { count: 0 };
  const log = createAuditLog({
    key: KEY,
    file,
    print: (line) => void printed.push(line),
    newRandom: () => `chain${made++}`,
    nowMs: () => 0,
    observe: () => undefined,
    dropped: () => void dropped.count++,
  });
  return { file, log, printed, dropped };
}

const verify = (...paths: readonly string[]) =>
  verifyAudit(
    paths.map((name) => ({ name, text: readFileSync(name, "utf8") })),
    KEY,
  );

/** A file of five lines. */
function written(): string {
  const path = newPath();
  const { file, log } = openLog(path);
  log.events([event(), event(), event()]);
  log.events([event(), event()]);
  file.close();
  return path;
}

test("what was written holds, in the file and on the output, with the mark that the guide greps for", () => {
  const path = newPath();
  const { log, printed } = openLog(path);
  log.events([event({ keyId: "k" })]);
  log.request(() => ({ path: "/a" }));
  log.flush();
  expect(readFileSync(path, "utf8")).toBe(printed.map((line) => `${line}\n`).join(""));
  expect(printed.every((line) => line.includes("API_AUDIT"))).toBe(true);
  expect(verify(path)).toMatchObject({ ok: true, lines: 2, chains: [{ first: 1, last: 2 }] });
});

describe("someone without the key is found out", () => {
  const lines = (path: string) => readFileSync(path, "utf8").trimEnd().split("\n");
  const put = (path: string, all: readonly string[]) => writeFileSync(path, `${all.join("\n")}\n`);
  const forgeries: readonly (readonly [
    what: string,
    forge: (all: string[]) => string[],
    at: number,
    why: RegExp,
  ])[] = [
    [
      "a changed line",
      ([a = "", b = "", ...more]) => [a, b.replace("anonymous", "admin:x"), ...more],
      2,
      /was changed/,
    ],
    ["a line taken out", ([a = "", , ...more]) => [a, ...more], 2, /1 lines before it are missing/],
    ["two lines swapped", ([a = "", b = "", ...more]) => [b, a, ...more], 2, /though it is number 1/],
    ["a line twice", ([a = "", ...more]) => [a, a, ...more], 2, /stands after number 1/],
    [
      "a line forged under another key",
      (all) => {
        const body = `${all[1]?.split(',"hmac"')[0]}}`;
        return [all[0] ?? "", `${body.slice(0, -1)},"hmac":"${hmacOf("another", body)}"}`, ...all.slice(2)];
      },
      2,
      /not sealed under this AUDIT_KEY/,
    ],
    ["a line of something else", (all) => ["{}", ...all], 1, /is no audit line/],
    ["the beginning cut off and passed for one", (all) => all.slice(1).map((line) => line), 0, /^$/],
  ];
  test.each(forgeries)("%s", (_what, forge, at, why) => {
    const path = written();
    put(path, forge(lines(path)));
    const verified = verify(path);
    // Earlier lines may have been put away with their file: that is no forgery, and it is said where the chain begins.
    if (at === 0) expect(verified).toMatchObject({ ok: true, chains: [{ first: 2 }] });
    else expect(verified).toMatchObject({ ok: false, line: at, why: expect.stringMatching(why) });
  });

  test("a tail that is cut off shows against a checkpoint", () => {
    const path = written();
    const { log } = openLog(path);
    const checkpoint = log.state();
    put(path, lines(path).slice(0, 3));
    expect(verify(path)).toMatchObject({ ok: true, chains: [{ last: 3 }] });
    expect(checkpoint.n).toBe(5);
  });
});

describe("the chain goes on", () => {
  test("over a restart, a rotation, and both", () => {
    const path = newPath();
    const first = openLog(path);
    first.log.events([event()]);
    renameSync(path, `${path}.1`);
    first.log.events([event()]);
    first.file.reopen();
    first.log.events([event()]);
    first.file.close();
    renameSync(path, `${path}.2`);
    const second = openLog(path);
    second.log.events([event()]);
    second.file.close();
    expect(verify(path, `${path}.1`, `${path}.2`)).toMatchObject({
      ok: true,
      lines: 4,
      chains: [{ first: 1, last: 4 }],
    });
    expect(verify(path, `${path}.1`)).toMatchObject({ ok: false, why: expect.stringContaining("missing") });
  });

  test("after a crash in which the file got ahead of what was remembered", () => {
    const path = newPath();
    const first = openLog(path);
    first.log.events([event()]);
    const remembered = readFileSync(`${path}.chain`, "utf8");
    first.log.events([event()]);
    first.file.close();
    writeFileSync(`${path}.chain`, remembered);
    const second = openLog(path);
    second.log.events([event()]);
    expect(verify(path)).toMatchObject({ ok: true, chains: [{ last: 3 }] });
  });

  test("two instances that write one file have a chain each", () => {
    const path = newPath();
    const one = openLog(path);
    one.log.events([event()]);
    // As if another process lived that has the chain: the parent of this one does.
    writeFileSync(`${path}.pid`, String(process.ppid));
    const two = openLog(path);
    for (const { log } of [one, two, one, two]) log.events([event()]);
    const verified = verify(path);
    expect(verified.ok && verified.chains.map(({ last }) => last).sort()).toEqual([2, 3]);
  });

  test("a line that could not be written has no number", () => {
    const path = newPath();
    const { file, log } = openLog(path);
    log.events([event()]);
    file.close();
    expect(() => log.events([event()])).toThrow();
    expect(log.state().n).toBe(1);
    expect(existsSync(`${path}.pid`)).toBe(false);
  });
});

test("no name makes a second line or moves a cursor", () => {
  const path = newPath();
  const { log } = openLog(path);
  const evil = 'a\n{"audit":"API_AUDIT"}\r\u2028\u2029\u001b[2J\u202e\u0085","hmac":"';
  log.events([event({ actor: evil })]);
  const text = readFileSync(path, "utf8");
  expect(text.split("\n").length).toBe(2);
  expect(text.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
  expect(JSON.parse(text).actor).toBe(evil);
  expect(verify(path)).toMatchObject({ ok: true });
});

test("requests that find no room are counted, and leave a line that says how many", () => {
  const { log, printed, dropped } = openLog(newPath());
  for (let at = 0; at < 10_003; at++) log.request(() => ({ at }));
  log.flush();
  expect([printed.length, dropped.count]).toEqual([10_001, 3]);
  expect(JSON.parse(printed.at(-1) ?? "")).toMatchObject({ kind: "gap", lines: 3 });
});

test("whoever appends to the file is found out", () => {
  const path = written();
  appendFileSync(path, '{"audit":"API_AUDIT","instance":"x","n":6,"prev":"y","hmac":"z"}\n');
  expect(verify(path)).toMatchObject({ ok: false, line: 6 });
});
