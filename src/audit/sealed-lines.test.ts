import { expect, test } from "vitest";
import type { AuditEvent } from "../core/audit/audit-event.ts";
import { createAuditLog } from "./log.ts";
import { createAuditVerifier } from "./verify.ts";

const KEY = "audit-key-audit-key-audit-key-123";
const MAX_PIECE_BYTES = 4096;

/** A log without a file, whose output takes only as many lines of a text as `takes` says. */
function openLog(takes: (lines: number) => number) {
  const pieces: string[] = [];
  const log = createAuditLog({
    key: KEY,
    file: undefined,
    output: {
      maxPieceBytes: MAX_PIECE_BYTES,
      write: () => undefined,
      async deliver(text) {
        const lines = text.trimEnd().split("\n");
        const taken = lines.slice(0, takes(lines.length));
        if (taken.length > 0) pieces.push(`${taken.join("\n")}\n`);
        return { isWhole: taken.length === lines.length, begunLines: taken.length };
      },
      dropped: () => 0,
    },
    newRandom: () => "chain",
    nowMs: () => 0,
    observe: () => undefined,
    onDropped: () => undefined,
    throttled: () => undefined,
  });
  return { log, pieces };
}

const event = (eventId: string, owner = "é".repeat(100)): AuditEvent => ({
  eventId,
  atMs: 0,
  event: "key_registered",
  outcome: "done",
  actor: "anonymous",
  owner,
});
const events = (count: number) => Array.from({ length: count }, (_, at) => event(`e${at}`));
const linesOf = (pieces: readonly string[]) => pieces.join("").trimEnd().split("\n");

function isIntact(lines: readonly string[]): boolean {
  const verifier = createAuditVerifier(KEY, [], []);
  const broken = lines.find((text, at) => verifier.take("output", { number: at + 1, text, ended: true }));
  return broken === undefined && verifier.end().ok;
}

test("a piece has whole lines and fits into one atomic write, unless a single line does not", async () => {
  const { log, pieces } = openLog((lines) => lines);
  await log.events([...events(20), event("long", "x".repeat(MAX_PIECE_BYTES)), ...events(20)]);
  for (const piece of pieces) {
    expect(piece.endsWith("\n")).toBe(true);
    expect(Buffer.byteLength(piece) <= MAX_PIECE_BYTES || linesOf([piece]).length === 1).toBe(true);
  }
  expect(linesOf(pieces)).toHaveLength(41);
  expect(isIntact(linesOf(pieces))).toBe(true);
  // Several lines share a write.
  expect(pieces.length).toBeLessThan(41 / 3);
});

test("after a piece that was not taken, the chain continues from the last line that was", async () => {
  let left = 2;
  const { log, pieces } = openLog((lines) => (left-- > 0 ? lines : 0));
  await expect(log.events(events(40))).rejects.toThrow("standard output does not take audit lines");
  const taken = linesOf(pieces).length;
  left = 100;
  await log.events(events(40));
  expect(linesOf(pieces)).toHaveLength(taken + 40);
  expect(isIntact(linesOf(pieces))).toBe(true);
});

test("after a piece that was taken in part, as on a full disk, the chain continues from the last line that has begun", async () => {
  let pieces = 0;
  const opened = openLog((lines) => (++pieces === 2 ? lines - 2 : lines));
  await expect(opened.log.events(events(40))).rejects.toThrow("standard output does not take audit lines");
  const taken = linesOf(opened.pieces).length;
  await opened.log.events(events(40));
  expect(linesOf(opened.pieces)).toHaveLength(taken + 40);
  expect(isIntact(linesOf(opened.pieces))).toBe(true);
});
