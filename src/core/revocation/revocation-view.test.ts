import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
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
