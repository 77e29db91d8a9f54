import { expect, test } from "vitest";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import type { KeyRestriction } from "../../src/core/revocation/revocation.ts";
import { createKeyRows } from "../../src/redis/copied-keys.ts";
import { createWriteBack } from "../../src/redis/write-back.ts";
import type { Instance } from "../support/feed.ts";
import { changed, NOW, newRecord, put, startInstance, useRedis } from "../support/feed.ts";
import type { TestedRedis } from "../support/redis.ts";

// A failover can lose the record of a rotation while an instance knows the end of the overlap from its feed.

let redis: TestedRedis;
useRedis((started) => {
  redis = started;
});

const OVERLAP_ENDS = NOW + 60;

async function writeBack({ client }: Instance, record: KeyRecord, more: Partial<KeyRestriction>) {
  const { keyId, expiresAt } = record;
  const restriction = { keyId, version: Date.now(), expiresAt, revoked: false, disabled: false, ...more };
  await createWriteBack(client)([{ kind: "key", ...restriction }]);
}

/** Why the key has ended after the overlap, for an instance that starts once the feed no longer has the entry. */
async function endAfterOverlap({ store }: Instance, record: KeyRecord) {
  const view = createInstanceView();
  for await (const entries of store.viewEntries()) view.apply(entries);
  return view.endReason(record, (OVERLAP_ENDS + 1) * 1000);
}

test.each([
  ["a change of its name", [{ name: "other" }]],
  ["being disabled and enabled", [{ disabled: true }, { disabled: false }]],
  [
    "a rotation with a longer overlap",
    [{ successor: { keyId: "next", at: NOW, notAfter: OVERLAP_ENDS + 60 } }],
  ],
])("the written back end of an overlap outlasts %s", async (_what, changes) => {
  const one = await startInstance(redis.port);
  const key = await put(one, newRecord());
  await writeBack(one, key, { notAfter: OVERLAP_ENDS });
  for (const change of changes) {
    const stored = await one.store.load(key.keyId);
    await put(one, changed(stored ?? key, change));
  }
  expect(await endAfterOverlap(one, key)).toBe("key_superseded");
});

test("an earlier end of an overlap replaces a written back one", async () => {
  const one = await startInstance(redis.port);
  const key = await put(one, newRecord());
  await writeBack(one, key, { notAfter: OVERLAP_ENDS + 60 });
  const stored = (await one.store.load(key.keyId)) ?? key;
  await put(one, changed(stored, { successor: { keyId: "next", at: NOW, notAfter: OVERLAP_ENDS } }));
  expect(await endAfterOverlap(one, key)).toBe("key_superseded");
});

test.each([
  ["end of an overlap", { notAfter: OVERLAP_ENDS }, "key_superseded"],
  ["revocation", { revoked: true }, "key_revoked"],
] as const)("the written back %s outlasts a copy of the key's record", async (_what, end, reason) => {
  const one = await startInstance(redis.port);
  const record = newRecord();
  await writeBack(one, record, end);
  const row = { record, text: "" };
  expect(await createKeyRows(one.client, one.store, 60).put([{ row, replaced: undefined }])).toEqual([
    "written",
  ]);
  expect(await endAfterOverlap(one, record)).toBe(reason);
});
