import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Principal } from "../decision/principal.ts";
import type { Revocation } from "./revocation.ts";
import { createRevocationView } from "./revocation-view.ts";

const NOW = 1_800_000_000;

function principalOf(more: Partial<Principal> = {}): Principal {
  const times = { issuedAt: NOW - 10, expiresAt: NOW + 1000, refreshAfter: NOW };
  return { keyId: "k1", family: "f1", role: "basic", scopes: [], name: "x", ...times, ...more };
}

function viewOf(...revocations: readonly Revocation[]) {
  const view = createRevocationView();
  view.apply(revocations);
  return view;
}

const unrestricted = {
  kind: "key",
  keyId: "k1",
  expiresAt: NOW + 1000,
  revoked: false,
  disabled: false,
} as const;

test("a key is valid until a revocation ends it", () => {
  const endReason = (...revocations: readonly Revocation[]) =>
    viewOf(...revocations).endReason(principalOf({ owner: "acme" }), NOW * 1000);
  expect(endReason()).toBeUndefined();
  expect(endReason({ ...unrestricted, version: 2, revoked: true })).toBe("key_revoked");
  expect(endReason({ ...unrestricted, version: 2, disabled: true })).toBe("key_disabled");
  expect(endReason({ ...unrestricted, version: 2, notAfter: NOW })).toBe("key_superseded");
  expect(endReason({ ...unrestricted, version: 2, notAfter: NOW + 1 })).toBeUndefined();
  expect(endReason({ kind: "family", family: "f1", until: NOW + 5 })).toBe("key_revoked");
  expect(endReason({ kind: "family", family: "f2", until: NOW + 5 })).toBeUndefined();
  for (const [scope, subject] of [
    ["all", ""],
    ["role", "basic"],
    ["owner", "acme"],
  ] as const) {
    const cut = { kind: "cutoff", scope, subject, until: NOW + 5 } as const;
    expect(endReason({ ...cut, before: NOW - 9 })).toBe("key_revoked");
    expect(endReason({ ...cut, before: NOW - 10 })).toBeUndefined();
    expect(endReason({ ...cut, subject: "other", before: NOW })).toBeUndefined();
  }
});

test("an older restriction never overrides a newer one", () => {
  const disabled = { ...unrestricted, version: 2, disabled: true };
  const enabled = { ...unrestricted, version: 3 };
  expect(viewOf(disabled, enabled).endReason(principalOf(), NOW * 1000)).toBeUndefined();
  expect(viewOf(enabled, disabled).endReason(principalOf(), NOW * 1000)).toBeUndefined();
});

test("any order and any repetition of the same revocations gives the same view", () => {
  const revocation: fc.Arbitrary<Revocation> = fc.oneof(
    // The content follows from the version, because one version of a key has one content.
    fc.integer({ min: 2, max: 6 }).map((version) => ({
      ...unrestricted,
      version,
      disabled: version % 2 === 0,
      revoked: version === 6,
      ...(version > 3 && { notAfter: NOW - 1 }),
    })),
    fc
      .integer({ min: 1, max: 9 })
      .map((until) => ({ kind: "family" as const, family: "f2", until: NOW + until })),
    fc.integer({ min: -20, max: 0 }).map((before) => ({
      kind: "cutoff" as const,
      scope: "owner" as const,
      subject: "acme",
      before: NOW + before,
      until: NOW + 5,
    })),
  );
  fc.assert(
    fc.property(
      fc
        .array(revocation, { maxLength: 8 })
        .chain((revocations) =>
          fc.tuple(
            fc.constant(revocations),
            fc.shuffledSubarray([...revocations, ...revocations], { minLength: revocations.length * 2 }),
          ),
        ),
      ([revocations, shuffled]) => {
        const principals = [
          principalOf(),
          principalOf({ owner: "acme" }),
          principalOf({ keyId: "k2", family: "f2" }),
        ];
        const reasons = (list: readonly Revocation[]) =>
          principals.map((principal) => viewOf(...list).endReason(principal, NOW * 1000));
        expect(reasons(shuffled)).toEqual(reasons(revocations));
      },
    ),
  );
});

describe("nothing that the feed repeats or delivers late weakens the view", () => {
  const family = (until: number): Revocation => ({ kind: "family", family: "f1", until });
  const cutOff = (before: number, until = NOW + 900): Revocation => ({
    kind: "cutoff",
    scope: "role",
    subject: "basic",
    before,
    until,
  });

  test("an earlier cut-off does not replace a later one", () => {
    for (const view of [viewOf(cutOff(NOW), cutOff(NOW - 100)), viewOf(cutOff(NOW - 100), cutOff(NOW))]) {
      expect(view.endReason(principalOf({ issuedAt: NOW - 1 }), NOW * 1000)).toBe("key_revoked");
      expect(view.cutOffBefore({ role: "basic", family: "f1" })).toBe(NOW);
      expect(view.cutOffBefore({ role: "other", family: "f1" })).toBe(0);
    }
  });

  test("the end of a family is kept until the last of its tokens has expired", async () => {
    const view = viewOf(family(NOW + 50), family(NOW + 5));
    await view.sweep((NOW + 49) * 1000, async () => undefined);
    expect(view.endReason(principalOf(), NOW * 1000)).toBe("key_revoked");
  });

  test("a key without an owner is ended by the cut-off of its family, and never by another owner's", () => {
    const view = viewOf({ kind: "cutoff", scope: "owner", subject: "f1", before: NOW, until: NOW + 900 });
    expect(view.endReason(principalOf(), NOW * 1000)).toBe("key_revoked");
    expect(view.endReason(principalOf({ owner: "acme" }), NOW * 1000)).toBeUndefined();
    expect(view.endReason(principalOf({ family: "f2" }), NOW * 1000)).toBeUndefined();
  });

  test("a key that may have been forgotten stays denied, although a clock steps back", async () => {
    const view = viewOf({ ...unrestricted, version: 2, revoked: true, expiresAt: NOW });
    await view.sweep(NOW * 1000, async () => undefined);
    expect(view.size()).toBe(0);
    const steppedBack = (NOW - 60) * 1000;
    expect(view.endReason(principalOf({ expiresAt: NOW }), steppedBack)).toBe("key_expired");
    expect(view.endReason(principalOf({ expiresAt: NOW + 1 }), steppedBack)).toBeUndefined();
    // An older note of the same kind changes nothing.
    view.apply([{ kind: "forgotten", before: NOW - 1000 }]);
    await view.sweep((NOW - 500) * 1000, async () => undefined);
    expect(view.endReason(principalOf({ expiresAt: NOW }), steppedBack)).toBe("key_expired");
    view.apply([{ kind: "forgotten", before: NOW + 1 }]);
    expect(view.endReason(principalOf({ expiresAt: NOW + 1 }), steppedBack)).toBe("key_expired");
  });

  test("what the view includes is exactly what changes nothing", () => {
    const revoked: Revocation = { ...unrestricted, version: 3, revoked: true };
    const view = viewOf(revoked, family(NOW + 5), cutOff(NOW), { kind: "forgotten", before: NOW - 100 });
    const known: readonly Revocation[] = [
      revoked,
      { ...unrestricted, version: 2, disabled: true, revoked: true },
      family(NOW + 5),
      family(NOW + 4),
      cutOff(NOW),
      cutOff(NOW - 1),
      { kind: "forgotten", before: NOW - 100 },
      { kind: "forgotten", before: NOW - 101 },
    ];
    const unknown: readonly Revocation[] = [
      { ...unrestricted, version: 4, disabled: true },
      { ...unrestricted, keyId: "k2", version: 1 },
      family(NOW + 6),
      { kind: "family", family: "f2", until: NOW },
      cutOff(NOW + 1),
      { kind: "cutoff", scope: "owner", subject: "basic", before: NOW, until: NOW + 900 },
      { kind: "forgotten", before: NOW - 99 },
    ];
    expect(known.filter((revocation) => !view.includes(revocation))).toEqual([]);
    expect(unknown.filter((revocation) => view.includes(revocation))).toEqual([]);
  });

  test("a view that is written back from another's entries denies the same keys", () => {
    const first = viewOf(
      { ...unrestricted, version: 3, disabled: true, notAfter: NOW + 20 },
      family(NOW + 5),
      cutOff(NOW),
    );
    expect([...first.entries()]).toHaveLength(3);
    expect([...first.entries()]).toContainEqual(cutOff(NOW));
    const second = viewOf(...first.entries());
    expect([...second.entries()]).toEqual([...first.entries()]);
    expect(second.standing("k1")).toMatchObject({ version: 3, disabled: true, notAfter: NOW + 20 });
    expect(second.standing("k2")).toBeUndefined();
  });
});

test("the sweep forgets only what no valid token needs", async () => {
  const nextTurn = async () => undefined;
  const view = viewOf(
    { ...unrestricted, version: 2, revoked: true },
    { kind: "family", family: "f1", until: NOW + 5 },
    { kind: "cutoff", scope: "all", subject: "", before: NOW, until: NOW + 7 },
  );
  await view.sweep((NOW + 4) * 1000, nextTurn);
  expect(view.size()).toBe(3);
  await view.sweep((NOW + 5) * 1000, nextTurn);
  expect(view.size()).toBe(2);
  await view.sweep((NOW + 6) * 1000, nextTurn);
  expect(view.size()).toBe(2);
  await view.sweep((NOW + 7) * 1000, nextTurn);
  expect(view.size()).toBe(1);
  await view.sweep((NOW + 1000) * 1000, nextTurn);
  expect(view.size()).toBe(0);
});

test("a long sweep yields to other tasks, and keeps what they add meanwhile", async () => {
  const view = viewOf();
  const keysOf = (count: number, expiresAt: number) =>
    Array.from({ length: count }, (_, at) => ({
      ...unrestricted,
      keyId: `${expiresAt}-${at}`,
      version: 2,
      expiresAt,
    }));
  view.apply(keysOf(5000, NOW).map((key) => ({ ...key, kind: "key", revoked: true })));
  let turns = 0;
  await view.sweep(NOW * 1000, async () => {
    turns++;
    view.apply(keysOf(10 * turns, NOW + 9).map((key) => ({ ...key, kind: "key", revoked: true })));
  });
  expect(turns).toBeGreaterThanOrEqual(5);
  expect(view.size()).toBe(10 * turns);
});

test("100,000 ended keys take less than 16 MB", () => {
  const fill = `
    import { createRevocationView } from ${JSON.stringify(new URL("./revocation-view.ts", import.meta.url))};
    import { decodeFeedEntry } from ${JSON.stringify(new URL("./feed-entry.ts", import.meta.url))};
    const view = createRevocationView();
    const used = () => { gc(); gc(); const { heapUsed, arrayBuffers } = process.memoryUsage(); return heapUsed + arrayBuffers; };
    const before = used();
    for (let at = 0; at < 100_000; at++) {
      const id = "node_operator_1764000000_" + String(at).padStart(22, "x");
      const [end, notAfter] = at % 2 === 0 ? [${NOW} + at, 0] : [253_402_300_799, ${NOW}];
      view.apply([decodeFeedEntry(JSON.stringify(["k", id, 2, end, 1, notAfter]))]);
    }
    console.log(JSON.stringify([view.size(), used() - before]));
  `;
  const args = ["--expose-gc", "--input-type=module", "--eval", fill];
  const [size, bytes] = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
  expect(size).toBe(100_000);
  expect(bytes).toBeLessThan(16_000_000);
});
