import { describe, expect, test } from "vitest";
import { admin, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import { RegistryBusy } from "./commit.ts";
import { endSession, useLink } from "./console-session.ts";
import type { RememberedCall } from "./key-change.ts";

const SESSION = { sessionId: "session_1800000000_aaaaaaaaaaaaaaaaaaaaaa", expiresAt: NOW + 900 };
const LINK = { linkId: "link_1800000000_aaaaaaaaaaaaaaaaaaaaaa", until: NOW + 300 };

describe("a session that is ended", () => {
  const end = {
    kind: "key",
    keyId: SESSION.sessionId,
    version: NOW * 1000,
    expiresAt: SESSION.expiresAt,
    revoked: true,
    disabled: false,
  };

  test("has ended on this instance at once, and on the others like a revoked key, until its own end", async () => {
    const { registry, asked, known, setTime } = scriptedRegistry();
    // The feed has whole milliseconds.
    setTime(NOW * 1000 + 0.7);
    await endSession(registry, SESSION, { ...admin, address: "192.0.2.1" });
    expect(known()).toEqual([end]);
    expect(asked).toMatchObject([
      { put: [], end, audit: [{ event: "console_signed_out", actor: "admin:ops", address: "192.0.2.1" }] },
    ]);
  });

  test("ends by the store's clock", async () => {
    const { registry, known } = scriptedRegistry({}, [{ kind: "clock", nowMs: (NOW + 90) * 1000 }]);
    await endSession(registry, SESSION, admin);
    expect(known()).toEqual([{ ...end, version: (NOW + 90) * 1000 }]);
  });
});

describe("a one-time link", () => {
  const call = { id: `console-link:${LINK.linkId}`, bodyDigest: "console-link", keyId: LINK.linkId };

  test("can be used, and the store remembers this for a minute longer than the link is valid", async () => {
    const { registry, asked, recalled } = scriptedRegistry();
    expect(await useLink(registry, LINK, admin)).toBe(true);
    expect(recalled).toEqual([[call.id, NOW]]);
    expect(asked).toMatchObject([
      {
        put: [],
        remember: { ...call, until: LINK.until + 60 },
        audit: [{ event: "console_link_used", outcome: "done", actor: "admin:ops" }],
      },
    ]);
  });

  test("of a person is audited as a sign-in", async () => {
    const { registry, asked } = scriptedRegistry();
    expect(await useLink(registry, { ...LINK, event: "person_signed_in" }, admin)).toBe(true);
    expect(asked).toMatchObject([{ audit: [{ event: "person_signed_in" }] }]);
  });

  test("that was used before cannot be used again, and leaves no audit event", async () => {
    const { registry, asked } = scriptedRegistry({ call: { ...call, until: LINK.until + 60 } });
    expect(await useLink(registry, LINK, admin)).toBe(false);
    expect(asked).toEqual([]);
  });

  test("that another instance uses at the same time is used once", async () => {
    const { registry } = scriptedRegistry();
    let first: RememberedCall | undefined;
    const store = {
      ...registry.store,
      recall: async () => first,
      commit: async () => {
        first = { ...call, until: LINK.until + 60 };
        return { kind: "conflict" } as const;
      },
    };
    expect(await useLink({ ...registry, store }, LINK, admin)).toBe(false);
  });

  test("is not used if the store does not write that it was", async () => {
    const { registry } = scriptedRegistry({}, Array(8).fill({ kind: "conflict" }));
    await expect(useLink(registry, LINK, admin)).rejects.toThrow(RegistryBusy);
  });
});
