import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createAuditLog } from "../audit/log.ts";
import type { AuditEvent } from "../core/audit/audit-event.ts";
import { createAuditStore } from "../sqlite/audit-store.ts";
import { openDatabase } from "../sqlite/database.ts";
import { createKeyStore } from "../sqlite/key-store.ts";
import { createDenialRecorder, createEventWriter } from "./audit.ts";

test("an event is in the log once, even if the store cannot mark it as done", async () => {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-events-"));
  const database = openDatabase(folder);
  const keys = createKeyStore(database, { recordRetentionSeconds: 1, nowMs: () => 1000 });
  const written: string[] = [];
  const log = createAuditLog({
    key: "audit-key-audit-key-audit-key-123",
    file: undefined,
    output: {
      maxPieceBytes: 4096,
      write: () => undefined,
      async deliver(text) {
        const lines = text.trimEnd().split("\n");
        written.push(...lines);
        return { isWhole: true, begunLines: lines.length };
      },
      dropped: () => 0,
    },
    newRandom: () => "chain",
    nowMs: () => 0,
    observe: () => undefined,
    onDropped: () => undefined,
    throttled: () => undefined,
  });
  const write = createEventWriter(log, createAuditStore(database));
  const happen = async (eventId: string) => {
    const event: AuditEvent = { eventId, atMs: 0, event: "key_revoked", outcome: "done", actor: "anonymous" };
    await keys.commit({ nowSeconds: 1, put: [], audit: [event] });
  };
  await happen("one");
  database.sqlite.exec("PRAGMA query_only = ON");
  for (let at = 0; at < 3; at++) await expect(write()).rejects.toThrow(/readonly/);
  database.sqlite.exec("PRAGMA query_only = OFF");
  await happen("two");
  await write();
  await write();
  expect(written.map((line) => JSON.parse(line).event_id)).toEqual(["one", "two"]);
  database.close();
  rmSync(folder, { recursive: true });
});

test("denials of many addresses of one IPv6 network share one limit of lines", () => {
  const outcomes = { written: 0, throttled: 0 };
  const record = createDenialRecorder({
    request: () => outcomes.written++,
    throttle: () => outcomes.throttled++,
  });
  for (let at = 0; at < 3000; at++) record("request", `2001:db8::${at.toString(16)}`, () => ({}));
  expect(outcomes.written + outcomes.throttled).toBe(3000);
  // A thousand lines at once, and ten for each second that the test takes.
  expect(outcomes.written).toBeLessThan(1500);
  const { written } = outcomes;
  record("request", "192.0.2.1", () => ({}));
  expect(outcomes.written).toBe(written + 1);
});
