import { describe, expect, test } from "vitest";
import { copiedEventId, isAfter, isRemoved } from "./copied-event.ts";
import type { AuditRow } from "./ports.ts";

function row(more: Partial<AuditRow["event"]> = {}, of: Partial<AuditRow> = {}): AuditRow {
  return {
    event: { eventId: "e1", atMs: 1000, event: "key_revoked", outcome: "done", actor: "admin:a", ...more },
    isLogged: true,
    origin: { store: "source", cursor: "7-1" },
    ...of,
  };
}

test("an event has its own id in every store, and a damaged one that of the place where it was written", () => {
  expect(copiedEventId(row())).toBe("e1");
  expect(copiedEventId(row({ eventId: "damaged", event: "damaged" }))).toBe("source 7-1");
});

describe("a position", () => {
  test.each([
    ["8", "7", true],
    ["7", "7", false],
    ["7", "8", false],
    ["10", "9", true],
    ["7-1", "7", true],
    ["7", "7-1", false],
    ["7-10", "7-9", true],
    ["7-1", "7-1", false],
    ["8-0", "7-5", true],
    ["7-5", "8-0", false],
    ["0", "0", false],
    ["1-0", "0", true],
  ])("%s is later than %s: %j", (cursor, mark, later) => {
    expect(isAfter(cursor, mark)).toBe(later);
  });
});

describe("an event that the target lacks", () => {
  const removed = { storeId: "target", beforeMs: 2000, copiedUntil: () => undefined };
  const copied = { ...removed, copiedUntil: (store: string) => (store === "source" ? "7-1" : undefined) };
  const own = { origin: { store: "target", cursor: "9" } };

  test.each([
    ["was removed if it is old, logged and its own", true, row({}, own), removed],
    ["was removed if it is old, logged and was copied before", true, row(), copied],
    ["is new if it was never copied", false, row(), removed],
    [
      "is new if later ones of its store were not copied",
      false,
      row({}, { origin: { store: "source", cursor: "7-2" } }),
      copied,
    ],
    [
      "is new if only another store was copied",
      false,
      row({}, { origin: { store: "third", cursor: "1" } }),
      copied,
    ],
    ["stays if no audit log has it", false, row({}, { ...own, isLogged: false }), removed],
    ["stays if it is as young as the retention", false, row({ atMs: 2000 }, own), removed],
    ["stays if it is younger", false, row({ atMs: 2001 }, own), removed],
  ])("%s", (_, isGone, event, by) => {
    expect(isRemoved(event, by)).toBe(isGone);
  });
});
