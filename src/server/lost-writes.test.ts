import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { AuditEvent } from "../core/audit/audit-event.ts";
import { createClock } from "../core/clock.ts";
import type { LostWriteDeps } from "../core/keys/lost-writes.ts";
import { createRevocationView } from "../core/revocation/revocation-view.ts";
import type { LostWriteOptions } from "./lost-writes.ts";
import { createLostWrites } from "./lost-writes.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** @param holdChanges looks up the changes of a turn */
function start(holdChanges: LostWriteDeps["store"]["holdChanges"]) {
  const options = {
    settings: { AUDIT_RETENTION: 86_400 },
    view: createRevocationView(),
    clock: createClock({ shared: true, wallMs: Date.now, monotonicMs: Date.now, onJump: () => undefined }),
    log: { warn: () => undefined, info: () => undefined },
    shutdown: { defer: () => undefined },
    metrics: { store: { lostWrite: () => undefined } },
    // Nothing else is used while no change is lost.
  } as unknown as LostWriteOptions;
  const lostWrites = createLostWrites(options);
  lostWrites.begin({ holdChanges } as LostWriteDeps["store"]);
  lostWrites.remember({ put: [], audit: [], auditCursor: "1-0" });
  return lostWrites;
}

const turn = () => vi.advanceTimersByTimeAsync(500);

test("changes are looked up once after a suspicion, and only when revocations are written back", async () => {
  const look = vi.fn(async () => [true]);
  const lostWrites = start(look);
  await turn();
  lostWrites.onSuspicion();
  await turn();
  expect(look).not.toHaveBeenCalled();
  lostWrites.onWrittenBack();
  await turn();
  await turn();
  expect(look).toHaveBeenCalledTimes(1);
});

test("a turn that fails is repeated", async () => {
  const look = vi.fn(async () => [true]).mockRejectedValueOnce(new Error("away"));
  const lostWrites = start(look);
  lostWrites.onSuspicion();
  lostWrites.onWrittenBack();
  await turn();
  await turn();
  await turn();
  expect(look).toHaveBeenCalledTimes(2);
});

test("a loss during a turn causes another one, after the next write-back", async () => {
  const waiting = Promise.withResolvers<boolean[]>();
  const look = vi.fn(async () => [true]).mockReturnValueOnce(waiting.promise);
  const lostWrites = start(look);
  lostWrites.onSuspicion();
  lostWrites.onWrittenBack();
  await turn();
  lostWrites.onSuspicion();
  waiting.resolve([true]);
  await turn();
  expect(look).toHaveBeenCalledTimes(1);
  lostWrites.onWrittenBack();
  await turn();
  await turn();
  expect(look).toHaveBeenCalledTimes(2);
});

test("nothing is forgotten between a suspicion and the end of the work", async () => {
  const lostWrites = start(async () => [true]);
  const replicated = async () => {
    await vi.advanceTimersByTimeAsync(70_000);
    lostWrites.onReplicated(performance.now());
    return lostWrites.size();
  };
  lostWrites.onSuspicion();
  expect(await replicated()).toBe(1);
  lostWrites.onWrittenBack();
  await turn();
  expect(await replicated()).toBe(0);
});

test("a failure of one memory does not hold up the other", async () => {
  const look = vi.fn(async () => [true]).mockRejectedValueOnce(new Error("away"));
  const lostWrites = start(look);
  const imported = { event: "legacy_keys_imported" } as AuditEvent;
  lostWrites.remember({ put: [], audit: [imported], auditCursor: "2-0" });
  lostWrites.onSuspicion();
  lostWrites.onWrittenBack();
  await turn();
  expect(look).toHaveBeenCalledTimes(2);
});
