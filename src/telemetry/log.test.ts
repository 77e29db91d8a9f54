import { expect, test } from "vitest";
import type { LogOptions } from "./log.ts";
import { createLog } from "./log.ts";

const FAULT = { event: "the store is unavailable", effect: "the command is retried", action: "the store" };
const SECRET = 'swordfish-"quoted"-and-\\long';
const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJiYXNpY18xIn0.c2lnbmF0dXJl";

function logged(options: Partial<LogOptions>, use: (log: ReturnType<typeof createLog>) => void): string {
  const written: string[] = [];
  use(
    createLog({
      level: "info",
      terminal: false,
      secrets: [SECRET],
      write: (text) => written.push(text),
      ...options,
    }),
  );
  return written.join("");
}

test("an event is one line of JSON, and a fault states the condition, the effect and what to check", () => {
  const text = logged({}, (log) => {
    log.info({ policy: "abc" }, "a new policy\nis in force");
    log.warn({}, FAULT);
  });
  const lines = text.trimEnd().split("\n");
  expect(lines).toHaveLength(2);
  const [first, second] = lines.map((line) => JSON.parse(line));
  expect(first).toMatchObject({ level: "info", policy: "abc", msg: "a new policy\nis in force" });
  expect(new Date(first.time).getTime()).toBeGreaterThan(0);
  expect(second).toMatchObject({
    level: "warn",
    msg: "the store is unavailable: the command is retried; check the store",
  });
});

test("events below the level are not written", () => {
  const text = logged({ level: "warn" }, (log) => {
    log.info({}, "no");
    log.error({}, FAULT);
  });
  expect(text.trimEnd().split("\n")).toHaveLength(1);
  expect(logged({ level: "silent" }, (log) => log.fatal({}, FAULT))).toBe("");
});

test.each([false, true])(
  "no secret of the settings, no key and no password of a URL is shown (terminal: %s)",
  (terminal) => {
    const error = Object.assign(new Error(`AUTH ${SECRET} failed`, { cause: new Error(`for ${JWT}`) }), {
      command: { name: "auth", args: ["hunter2hunter2"] },
      code: "ERR_AUTH",
    });
    const text = logged({ terminal }, (log) => {
      log.error({ err: error, at: "redis://latchkey:pass%20word@redis:6379/0" }, FAULT);
      log.warn({ key: `lk1_${"a".repeat(38)}` }, { ...FAULT, action: SECRET });
    });
    expect(text).not.toMatch(/swordfish|hunter2|pass%20word|aaaaaaaa|eyJhbGci|c2lnbmF0dXJl/);
    expect(text).toContain("redis://latchkey:[hidden]@redis:6379/0");
    expect(text).toContain("AUTH [hidden] failed");
    expect(text).toContain("for [hidden]");
  },
);

test("nothing that a client sends moves a terminal, or begins a line of its own", () => {
  const evil = "\u001b]0;title\u0007\u009b2J\u2028\u202e\r\nforged line\u007f";
  const text = logged({ terminal: true }, (log) => {
    log.info({ path: evil }, `asked for ${evil}`);
    log.error({ err: new Error(evil) }, FAULT);
  });
  const lines = text.trimEnd().split("\n");
  // Without the colours that we write ourselves.
  const foreign = text.replaceAll("\u001b[31m", "").replaceAll("\u001b[39m", "").replaceAll("\n", "");
  expect(foreign).not.toMatch(/\p{Cc}|[\u2028\u202e]/u);
  expect(lines.filter((line) => line.startsWith("forged"))).toEqual([]);
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} info {2}asked for \\u001b.* {2}path="\\u001b/);
  expect(lines[2]).toMatch(/^ {4}Error: /);
});

test("lines for programs contain no raw control character either", () => {
  const text = logged({}, (log) => log.info({ path: "\u009b2J\u2028\u007f" }, "asked"));
  expect(text).not.toMatch(/[\u007f-\u009f\u2028]/);
  expect(JSON.parse(text)).toMatchObject({ path: "\u009b2J\u2028\u007f" });
});
