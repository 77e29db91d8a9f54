import { expect, test } from "vitest";
import { KEY, NOW } from "../../../test/support/scripted-registry.ts";
import { auditEvent } from "./operation-audit.ts";

const deps = { nowMs: () => NOW * 1000, newRandom: () => "random" };

test("the audit event of an operation has its caller and its subject, and nothing else of the key", () => {
  const origin = {
    caller: { kind: "admin", id: "ops" },
    address: "192.0.2.1",
    requestId: "request",
  } as const;
  const { keyId, family, owner, role } = KEY;
  const subject = { keyId, family, owner: owner ?? "", role, plan: "team" };
  expect(auditEvent(deps, origin, "key_changed", { ...KEY, plan: "team" })).toStrictEqual({
    eventId: "random",
    atMs: NOW * 1000,
    event: "key_changed",
    outcome: "done",
    actor: "admin:ops",
    address: "192.0.2.1",
    requestId: "request",
    ...subject,
  });
});

test("the audit event of a denied operation says why, and has no member that is unknown", () => {
  const origin = { caller: { kind: "anonymous", address: "192.0.2.1" } } as const;
  expect(auditEvent(deps, origin, "key_registered", {}, "operator_required")).toStrictEqual({
    eventId: "random",
    atMs: NOW * 1000,
    event: "key_registered",
    outcome: "refused",
    reason: "operator_required",
    actor: "anonymous",
  });
});
