import { describe, expect, test } from "vitest";
import type { Held } from "../../../test/support/scripted-registry.ts";
import { admin, KEY, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import type { AuditEventName } from "../audit/audit-event.ts";
import { NotReplicated } from "./commit.ts";
import { changeKey, showKey } from "./key-administration.ts";
import type { CommitOutcome } from "./key-change.ts";
import type { KeyPatch } from "./key-lifecycle.ts";
import type { KeyRecord } from "./key-record.ts";
import type { CallOrigin } from "./operation-audit.ts";
import { denied } from "./registry-denial.ts";

const anonymous: CallOrigin = { caller: { kind: "anonymous", address: "192.0.2.1" } };

/** An operator by a role, as a key of it is. */
function operator(registry: ReturnType<typeof scriptedRegistry>["registry"], mayGrant: readonly string[]) {
  const role = registry.policy().roles.get("node_operator");
  if (role === undefined) throw new Error("a role is missing");
  return {
    caller: { kind: "person", id: "ann", role: { ...role, mayGrant }, scopes: ["keys:write", "chat:read"] },
  } as const satisfies CallOrigin;
}

async function change(patch: KeyPatch, held: Held = { records: [KEY] }, outcomes?: CommitOutcome[]) {
  const started = scriptedRegistry(held, outcomes);
  const result = await changeKey(started.registry, KEY.keyId, patch, admin);
  return { ...started, result };
}

describe("the change of a key", () => {
  test.each<readonly [patch: KeyPatch, before: Partial<KeyRecord>, event: AuditEventName]>([
    [{ name: "new" }, {}, "key_changed"],
    [{ metadata: "{}" }, {}, "key_changed"],
    [{ disabled: true }, {}, "key_disabled"],
    [{ disabled: true, name: "new" }, {}, "key_disabled"],
    [{ disabled: false }, { disabled: true }, "key_enabled"],
    [{ name: "new" }, { disabled: true }, "key_changed"],
  ])("to %j from %j writes its next version, and the event %s", async (patch, before, event) => {
    const current = { ...KEY, ...before };
    const { result, asked } = await change(patch, { records: [current] });
    const next = { ...current, ...patch, version: 2 };
    expect(result).toEqual({ record: next, status: next.disabled ? "disabled" : "active" });
    expect(asked).toMatchObject([
      { put: [next], audit: [{ event, outcome: "done", keyId: KEY.keyId, owner: "acme" }] },
    ]);
  });

  test("that changes nothing writes nothing, and is acknowledged only if earlier changes are durable", async () => {
    const { result, asked, confirmed } = await change({ name: KEY.name });
    expect(result).toEqual({ record: KEY, status: "active" });
    expect([asked, confirmed]).toEqual([[], [[]]]);
    await expect(change({}, { records: [KEY], durable: false })).rejects.toThrow(NotReplicated);
  });

  test("is repeated if another change came first", async () => {
    const { result, asked } = await change({ name: "new" }, undefined, [{ kind: "conflict" }]);
    expect(result).toMatchObject({ record: { name: "new" } });
    expect(asked).toHaveLength(2);
  });

  test.each<readonly [what: string, records: readonly KeyRecord[], reason: Parameters<typeof denied>[0]]>([
    ["without a record", [], "key_unknown"],
    ["that was revoked", [{ ...KEY, revokedAt: NOW }], "key_revoked"],
  ])("%s is denied, and writes nothing", async (_what, records, reason) => {
    const { result, asked } = await change({ disabled: false }, { records });
    expect(result).toEqual(denied(reason));
    expect(asked).toEqual([]);
  });

  test("of a family whose end only this instance knows is denied", async () => {
    const { registry, asked } = scriptedRegistry({ records: [KEY] });
    registry.view.apply([{ kind: "family", family: KEY.family, until: NOW + 9 }]);
    expect(await changeKey(registry, KEY.keyId, { name: "new" }, admin)).toEqual(denied("key_revoked"));
    expect(asked).toEqual([]);
  });

  test("is denied to a caller that could not have granted the key, before it learns of its status", async () => {
    const { registry, asked } = scriptedRegistry({ records: [{ ...KEY, revokedAt: NOW }] });
    for (const origin of [anonymous, operator(registry, [])])
      expect(await changeKey(registry, KEY.keyId, { name: "new" }, origin)).toEqual(denied("grant_refused"));
    const granting = operator(registry, ["contributor"]);
    expect(await changeKey(registry, KEY.keyId, { name: "new" }, granting)).toEqual(denied("key_revoked"));
    expect(asked).toEqual([]);
  });

  test("of a role that the policy no longer has is denied to all but the administrator", async () => {
    const { registry } = scriptedRegistry({ records: [{ ...KEY, role: "former" }] });
    const granting = operator(registry, ["former", "contributor"]);
    expect(await changeKey(registry, KEY.keyId, { name: "new" }, granting)).toEqual(denied("grant_refused"));
    expect(await changeKey(registry, KEY.keyId, { name: "new" }, admin)).toMatchObject({
      record: { name: "new" },
    });
  });
});

test("a key is shown with its last use and its status; without a record there is nothing to show", async () => {
  const { registry } = scriptedRegistry({ records: [KEY] });
  registry.view.apply([{ kind: "family", family: KEY.family, until: NOW + 9 }]);
  const asked: (readonly string[])[] = [];
  const store = {
    ...registry.store,
    lastUsed: async (keyIds: readonly string[]) => {
      asked.push(keyIds);
      return new Map([[KEY.keyId, NOW - 5]]);
    },
  };
  const deps = { ...registry, store };
  expect(await showKey(deps, KEY.keyId)).toEqual({ record: KEY, status: "revoked", lastUsedAt: NOW - 5 });
  expect(await showKey(deps, "unknown")).toBeUndefined();
  expect(asked).toEqual([[KEY.keyId]]);
});
