import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { AuditEvent } from "../core/audit/audit-event.ts";
import { lockForProcess } from "../sqlite/process-lock.ts";
import type { ChainState } from "./chain.ts";
import { hmacOf } from "./chain.ts";
import type { AuditFile } from "./file.ts";
import { openAuditFile } from "./file.ts";
import { createAuditLog } from "./log.ts";
import { createAuditRetention } from "./retention.ts";
import type { ChainBeginning, Verified } from "./verify.ts";
import { createAuditVerifier } from "./verify.ts";

const KEY = "audit-key-audit-key-audit-key-123";
const folder = mkdtempSync(join(tmpdir(), "latchkey-audit-"));
const opened: AuditFile[] = [];
afterAll(async () => {
  await Promise.allSettled(opened.map((file) => file.close()));
  rmSync(folder, { recursive: true, force: true });
});
let made = 0;
const newRandom = () => `chain${made++}`;
const makeFolder = (path: string) => void mkdirSync(path, { recursive: true });

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

async function openLog(
  path: string,
  options: { readonly maxBytes?: number; readonly key?: string; readonly chain?: string } = {},
) {
  const { key = KEY, maxBytes = 100_000_000, ...more } = options;
  const file = await openAuditFile({
    path,
    claim: lockForProcess,
    key,
    nowMs: Date.now,
    maxBytes,
    makeFolder,
    newRandom,
    ...more,
  });
  opened.push(file);
  const printed: string[] = [];
  const counted = {
    dropped: 0,
    request: 0,
    access: 0,
    quota: 0,
    charge: 0,
    gap: 0,
    lifecycle: 0,
    droppedFiles: 0,
  };
  const log = createAuditLog({
    key,
    file,
    output: {
      maxPieceBytes: 4096,
      write: (text) => void printed.push(text.trimEnd()),
      deliver: async () => ({ isWhole: true, begunLines: 1 }),
      dropped: () => 0,
    },
    newRandom,
    nowMs: () => 0,
    observe: (kind, lines) => {
      counted[kind === "dropped" ? "droppedFiles" : kind] += lines;
    },
    onDropped: (lines) => {
      counted.dropped += lines;
    },
    throttled: () => undefined,
  });
  return { file, log, printed, counted };
}

function verify(
  paths: string | readonly string[],
  checkpoints: readonly ChainState[] = [],
  from: readonly ChainBeginning[] = [],
): Verified {
  const verifier = createAuditVerifier(KEY, checkpoints, from);
  for (const path of [paths].flat()) {
    const texts = readFileSync(path, "utf8").split("\n");
    const ended = texts.at(-1) === "";
    for (const [index, text] of texts.entries()) {
      const broken = verifier.take(path, {
        number: index + 1,
        text,
        ended: ended || index < texts.length - 1,
      });
      if (broken !== undefined) return { ok: false, ...broken };
    }
  }
  return verifier.end();
}

/** Writes a file of five lines. */
async function written(): Promise<string> {
  const path = newPath();
  const { file, log } = await openLog(path);
  await log.events([event(), event(), event()]);
  await log.events([event(), event()]);
  await file.close();
  return path;
}

const linesOf = (path: string) => readFileSync(path, "utf8").trimEnd().split("\n");
const put = (path: string, all: readonly string[]) => writeFileSync(path, `${all.join("\n")}\n`);

test("the file and the output have the same lines, each with the mark that the guide greps for", async () => {
  const path = newPath();
  const { log, printed } = await openLog(path);
  await log.events([event({ keyId: "k" })]);
  log.request("request", () => ({ path: "/a" }));
  await log.flush();
  expect(readFileSync(path, "utf8")).toBe(printed.map((line) => `${line}\n`).join(""));
  expect(printed.every((line) => line.includes("API_AUDIT"))).toBe(true);
  expect(verify(path)).toMatchObject({ ok: true, lines: 2, chains: [{ first: 1, last: 2 }] });
});

describe("verification detects changes by someone without the key", () => {
  const forgeries: readonly (readonly [
    what: string,
    forge: (all: string[]) => string[],
    at: number,
    problem: RegExp,
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
    [
      "a forged line at the end",
      (all) => [...all, all[0]?.replace('"n":1', '"n":6') ?? ""],
      6,
      /was changed/,
    ],
    [
      "a seal put onto another line",
      ([a = "", b = "", ...more]) => {
        const [, seal = ""] = b.split(',"hmac"');
        return [a, `${a.split(',"hmac"')[0]},"hmac"${seal}`, ...more];
      },
      2,
      /was changed/,
    ],
  ];
  test.each(forgeries)("verification detects %s", async (_what, forge, at, problem) => {
    const path = await written();
    put(path, forge(linesOf(path)));
    expect(verify(path)).toMatchObject({
      ok: false,
      file: path,
      line: at,
      problem: expect.stringMatching(problem),
    });
  });

  test("verification detects a change of any byte", async () => {
    const path = await written();
    const text = readFileSync(path, "latin1");
    fc.assert(
      fc.property(fc.nat({ max: text.length - 1 }), fc.integer({ min: 0x21, max: 0x7e }), (at, code) => {
        const changed = `${text.slice(0, at)}${String.fromCharCode(code)}${text.slice(at + 1)}`;
        writeFileSync(path, changed, "latin1");
        expect(verify(path).ok).toBe(changed === text);
      }),
      { numRuns: 300 },
    );
  });

  test("a line of one instance neither passes for another instance's line nor verifies after its instance is changed", async () => {
    const [one, two] = [await written(), await written()];
    put(one, [...linesOf(one).slice(0, 4), linesOf(two)[4] ?? ""]);
    put(two, linesOf(two).slice(0, 4));
    // Verification follows each instance's chain across files, so a line that moved to another file is not
    // lost.
    expect(verify([one, two])).toMatchObject({ ok: true, lines: 9 });
    const [a = "", b = ""] = linesOf(two);
    put(two, [a, b.replace(/"instance":"\w+"/, '"instance":"other"')]);
    expect(verify(two)).toMatchObject({ ok: false, line: 2 });
  });

  test("a missing beginning is reported unless a checkpoint or the caller states where the chain begins", async () => {
    const path = await written();
    const { log } = await openLog(path);
    const { instance } = log.state();
    const all = linesOf(path);
    const { hmac } = JSON.parse(all[1] ?? "");
    put(path, all.slice(2));
    const problem = expect.stringContaining(`the beginning of ${instance} is missing: its lines 1 to 2 `);
    const missing = { ok: false, file: path, line: 1, problem };
    const fine = { ok: true, chains: [{ first: 3, last: 5 }] };
    expect(verify(path)).toEqual(missing);
    expect(verify(path, [log.state()])).toEqual(missing);
    expect(verify(path, [{ instance, n: 2, hmac }])).toMatchObject(fine);
    expect(verify(path, [{ instance, n: 2, hmac: "another" }])).toEqual(missing);
    expect(verify(path, [], [{ instance, n: 3 }])).toMatchObject(fine);
    expect(verify(path, [], [{ instance, n: 3, prev: hmac }])).toMatchObject(fine);
    expect(verify(path, [], [{ instance, n: 3, prev: "another" }])).toEqual(missing);
    expect(verify(path, [], [{ instance, n: 2 }])).toEqual(missing);
    expect(verify(path, [], [{ instance: "another", n: 3 }])).toEqual(missing);
    put(path, []);
    const none = { ok: false, problem: expect.stringContaining("there is no audit line") };
    expect([verify(path), verify([])]).toEqual([none, none]);
  });

  test("a checkpoint reveals that the end of a chain, or a whole chain, is missing", async () => {
    const path = await written();
    const { log } = await openLog(path);
    const checkpoint = log.state();
    expect(verify(path, [checkpoint])).toMatchObject({ ok: true });
    const all = linesOf(path);
    put(path, all.slice(0, 3));
    expect(verify(path)).toMatchObject({ ok: true, chains: [{ last: 3 }] });
    const problem = expect.stringMatching(/^the end is cut off: \w+ had 5 lines .*, of which 3 are here$/);
    expect(verify(path, [checkpoint])).toEqual({ ok: false, problem });
    put(path, []);
    expect(verify(path, [checkpoint])).toMatchObject({
      ok: false,
      problem: expect.stringContaining("of which 0"),
    });
    put(path, all);
    const other = { ...checkpoint, hmac: "of another line" };
    expect(verify(path, [other])).toMatchObject({
      ok: false,
      line: 5,
      problem: expect.stringContaining("checkpoint"),
    });
  });
});

describe("the chain continues", () => {
  test("the chain continues over restarts and over rotations by other programs", async () => {
    const path = newPath();
    const first = await openLog(path);
    await first.log.events([event()]);
    renameSync(path, `${path}.1`);
    await first.log.events([event()]);
    await first.log.events([event()]);
    await first.file.close();
    renameSync(path, `${path}.2`);
    const second = await openLog(path);
    await second.log.events([event()]);
    await second.file.close();
    expect([`${path}.1`, `${path}.2`, path].map((each) => linesOf(each).length)).toEqual([1, 2, 1]);
    expect(verify([path, `${path}.1`, `${path}.2`])).toMatchObject({
      ok: true,
      lines: 4,
      chains: [{ first: 1, last: 4 }],
    });
    expect(verify([path, `${path}.1`])).toMatchObject({
      ok: false,
      file: path,
      line: 1,
      problem: expect.stringContaining("missing"),
    });
  });

  test("the chain continues after a full file is renamed", async () => {
    const path = newPath();
    const { file, log } = await openLog(path, { maxBytes: 1 });
    for (let at = 0; at < 5; at++) await log.events([event()]);
    await file.close();
    const files = readdirSync(dirname(path)).filter((name) => /^api\.log\.\d{4}-/.test(name));
    expect(files).toHaveLength(5);
    expect(verify(files.map((name) => join(dirname(path), name)))).toMatchObject({
      ok: true,
      lines: 5,
      chains: [{ last: 5 }],
    });
  });

  test("the chain continues after a crash that lost the remembered state, although another instance has written since", async () => {
    const path = newPath();
    const first = await openLog(path);
    await first.log.events([event()]);
    const remembered = readFileSync(`${path}.chain`, "utf8");
    await first.log.events([event(), event()]);
    const other = await openLog(path);
    await other.log.events([event()]);
    await first.file.close();
    writeFileSync(`${path}.chain`, remembered);
    const second = await openLog(path);
    await second.log.events([event()]);
    const verified = verify(path);
    expect(verified.ok && verified.chains.map(({ last }) => last).sort()).toEqual([1, 4]);
  });

  test("the chain continues after a crash that lost all but the first remembered state", async () => {
    const path = newPath();
    const first = await openLog(path);
    const remembered = readFileSync(`${path}.chain`, "utf8");
    await first.log.events([event(), event()]);
    await first.file.close();
    writeFileSync(`${path}.chain`, remembered);
    const second = await openLog(path);
    await second.log.events([event()]);
    expect(verify(path)).toMatchObject({ ok: true, lines: 3, chains: [{ first: 1, last: 3 }] });
  });

  test("a partial line after a crash is truncated and its number is reused", async () => {
    const path = await written();
    const whole = readFileSync(path, "utf8");
    const [half = ""] = linesOf(path);
    appendFileSync(path, half.slice(0, 100));
    expect(verify(path)).toMatchObject({
      ok: false,
      line: 6,
      problem: expect.stringContaining("is incomplete"),
    });
    const { file, log } = await openLog(path);
    expect(readFileSync(path, "utf8")).toBe(whole);
    await log.events([event()]);
    expect(verify(path)).toMatchObject({ ok: true, chains: [{ last: 6 }] });
    await file.close();
    // The same holds for a partial first line.
    truncateSync(path, 50);
    await openLog(path);
    expect(readFileSync(path, "utf8")).toBe("");
  });

  test("two instances that write one file have one chain each", async () => {
    const path = newPath();
    const one = await openLog(path);
    await one.log.events([event()]);
    const two = await openLog(path);
    for (const { log } of [one, two, one, two]) await log.events([event()]);
    const verified = verify(path);
    expect(verified.ok && verified.chains.map(({ last }) => last).sort()).toEqual([2, 3]);
  });

  test("when several instances start at once, exactly one continues the chain", async () => {
    const path = await written();
    const logs = await Promise.all([openLog(path), openLog(path), openLog(path)]);
    expect(logs.filter(({ log }) => log.state().n === 5)).toHaveLength(1);
    await Promise.all(logs.map(({ log }) => log.events([event(), event()])));
    expect(verify(path)).toMatchObject({ ok: true, lines: 11 });
  });

  test("several workers write and rotate one file at once, each with its own chain", async () => {
    const path = newPath();
    const open = () =>
      Promise.all([1, 2, 3].map((at) => openLog(path, { chain: `${path}.${at}`, maxBytes: 5000 })));
    for (const round of [1, 2]) {
      const logs = await open();
      for (let at = 0; at < 10; at++)
        await Promise.all(logs.map(({ log }) => log.events([event(), event()])));
      await Promise.all(logs.map(({ file }) => file.close()));
      const files = readdirSync(dirname(path)).filter((name) => /^api\.log(\.\d{4}-.*)?$/.test(name));
      expect(files.length).toBeGreaterThan(round);
      const verified = verify(files.map((name) => join(dirname(path), name)));
      expect(verified).toMatchObject({ ok: true, lines: 60 * round });
      expect(verified.ok && verified.chains.map(({ last }) => last)).toEqual([1, 2, 3].map(() => 20 * round));
    }
  });

  test("a removed folder is created again", async () => {
    const path = newPath();
    const { log } = await openLog(path);
    await log.events([event()]);
    rmSync(dirname(path), { recursive: true });
    await log.events([event()]);
    expect(verify(path, [], [{ instance: log.state().instance, n: 2 }])).toMatchObject({ ok: true });
  });

  test("a line that could not be written consumes no number and leaves nothing in the file", async () => {
    const path = newPath();
    const { file, log, counted } = await openLog(path);
    await log.events([event()]);
    renameSync(path, `${path}.1`);
    mkdirSync(path);
    await expect(log.events([event()])).rejects.toThrow();
    log.request("request", () => ({ lost: 1 }));
    await expect(log.flush()).rejects.toThrow();
    expect([log.state().n, counted.dropped]).toEqual([1, 1]);
    rmdirSync(path);
    await log.flush();
    await log.events([event()]);
    expect(verify([path, `${path}.1`])).toMatchObject({ ok: true, chains: [{ last: 3 }] });
    expect(JSON.parse(linesOf(path)[0] ?? "")).toMatchObject({ kind: "gap", lines: 1 });
    await file.close();
  });
});

describe("the audit files are bounded", () => {
  const MAX_BYTES = 20_000;
  const DAY_MS = 86_400_000;
  const filesOf = (path: string) =>
    readdirSync(dirname(path))
      .filter((name) => /^api\.log(\.\d{4}-.*)?$/.test(name))
      .map((name) => join(dirname(path), name))
      .filter((name) => linesOf(name).length > 0);
  const all = (path: string): { kind: string; event_id?: string; again?: true }[] =>
    filesOf(path).flatMap((name) => linesOf(name).map((line) => JSON.parse(line)));
  const open = async (path: string, maxFiles: number, nowMs = Date.now) => {
    const { log, file, counted } = await openLog(path, { maxBytes: MAX_BYTES });
    const bounds = { maxFiles, maxAgainBytes: MAX_BYTES / 2, maxAgeMs: 90 * DAY_MS };
    return { log, file, counted, drop: createAuditRetention({ file, log, key: KEY, ...bounds, nowMs }) };
  };
  const now = () => event({ atMs: Date.now() });

  test("the bound on the number of files drops lines about requests, keeps lines about keys, and leaves a log that verifies", async () => {
    const path = newPath();
    const { log, drop, file, counted } = await open(path, 3);
    const events = [now(), now()];
    await log.events(events);
    for (let round = 0; round < 60; round++) {
      for (let at = 0; at < 10; at++) log.request("request", () => ({ path: "/x".repeat(50) }));
      await log.flush();
      await drop();
      expect(filesOf(path).length).toBeLessThanOrEqual(3);
    }
    const left = all(path);
    expect(left.length).toBeLessThan(250);
    expect(counted.droppedFiles).toBeGreaterThan(5);
    for (const { eventId } of events)
      expect(left.filter(({ event_id }) => event_id === eventId)).toMatchObject([
        { kind: "lifecycle", again: true },
      ]);
    expect(verify(filesOf(path))).toMatchObject({ ok: true, lines: left.length });
    // The absence of any other file is detected.
    const [oldest = "", ...younger] = filesOf(path).filter((name) => name !== path);
    expect(verify([...younger, path])).toMatchObject({
      ok: false,
      problem: expect.stringContaining("missing"),
    });
    put(oldest, linesOf(oldest).slice(1));
    expect(verify(filesOf(path))).toMatchObject({ ok: false, problem: expect.stringContaining("missing") });
    await file.close();
  });

  test("when all lines are about keys, the bound on the number of files keeps the newest", async () => {
    const path = newPath();
    const { log, drop, file } = await open(path, 3);
    const events = Array.from({ length: 1000 }, now);
    for (let at = 0; at < events.length; at += 10) {
      await log.events(events.slice(at, at + 10));
      await drop();
      expect(filesOf(path).length).toBeLessThanOrEqual(4);
    }
    expect(all(path).filter(({ event_id }) => event_id === events.at(-1)?.eventId)).toHaveLength(1);
    expect(verify(filesOf(path))).toMatchObject({ ok: true });
    await file.close();
  });

  test("the bound on age drops files and records a chain that ended in them as dropped", async () => {
    const path = newPath();
    const first = await open(path, 100);
    const other = await openLog(path, { chain: `${path}.2` });
    await other.log.events([now()]);
    await other.file.close();
    while (filesOf(path).length < 3) await first.log.events(Array.from({ length: 50 }, now));
    await first.drop();
    expect(filesOf(path)).toHaveLength(3);
    await first.file.close();
    const later = await open(path, 100, () => Date.now() + 91 * DAY_MS);
    await later.drop();
    expect(filesOf(path)).toEqual([path]);
    expect(all(path).some(({ again }) => again)).toBe(false);
    expect(verify(path, [other.log.state()])).toMatchObject({ ok: true });
    await later.file.close();
  });
});

test("no text starts a second line, moves a terminal's cursor or breaks the JSON", async () => {
  const path = newPath();
  const { log } = await openLog(path);
  const evil = [
    'a\n{"audit":"API_AUDIT"}\r\u2028\u2029\u001b[2J\u202e\u0085\u0000","hmac":"',
    "\ud800 lone \udc00",
    "\u{e0041}\u{1d173}\ufff9\u180e\u0600",
  ];
  await log.events(evil.map((actor) => event({ actor })));
  const text = readFileSync(path, "utf8");
  expect(text.split("\n").length).toBe(evil.length + 1);
  expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029\ufffd]/u);
  expect(linesOf(path).map((line) => JSON.parse(line).actor)).toEqual(evil);
  expect(verify(path)).toMatchObject({ ok: true });
});

describe("lines about requests", () => {
  test("lines about requests beyond the queue's capacity are counted, and one line states their number", async () => {
    const { log, printed, counted } = await openLog(newPath());
    for (let at = 0; at < 10_003; at++) log.request("request", () => ({ at }));
    await log.flush();
    expect(printed).toHaveLength(10_001);
    expect(counted).toMatchObject({ dropped: 3, request: 10_000, gap: 1 });
    expect(JSON.parse(printed.at(-1) ?? "")).toMatchObject({ kind: "gap", lines: 3 });
  });

  test("lines about requests are sealed and written without blocking other work", async () => {
    const { log } = await openLog(newPath());
    for (let at = 0; at < 5000; at++) log.request("request", () => ({ at }));
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await log.flush();
    clearInterval(timer);
    expect(turns).toBeGreaterThan(5);
  });
});
