import { describe, expect, test } from "vitest";
import type { Held } from "../../../test/support/scripted-registry.ts";
import { admin, KEY, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import type { CutOff } from "../revocation/revocation.ts";
import { NotReplicated } from "./commit.ts";
import { MAX_KEY_LIFE_SECONDS } from "./key-lifecycle.ts";
import { NEVER } from "./key-record.ts";
import {
  isInFuture,
  revokeByHolder,
  revokeFamily,
  revokeIssuedBefore,
  revokeOne,
  revokeOwner,
} from "./key-revocation.ts";

const DAY = 86_400;
const DONE = { kind: "done", replayed: false };
const DONE_BEFORE = { kind: "done", replayed: true };
const UNTIL = NOW + MAX_KEY_LIFE_SECONDS;
const V1_KEY = "basic_1_v1aaaaaaaaaaaaaaaaaaaaaa";
const V1_FAMILY = "fam_v1aaaaaaaaaaaaaaaaaaaaaa";

describe("the revocation of one key", () => {
  test("writes its next version and an audit event, and ends nothing else", async () => {
    const { registry, asked } = scriptedRegistry({ records: [KEY] });
    expect(await revokeOne(registry, KEY.keyId, admin)).toEqual(DONE);
    expect(asked).toMatchObject([
      {
        put: [{ ...KEY, revokedAt: NOW, version: 2 }],
        audit: [{ event: "key_revoked", outcome: "done", keyId: KEY.keyId, owner: "acme" }],
      },
    ]);
    expect(asked[0]).not.toHaveProperty("end");
  });

  test("is repeated if another change came first", async () => {
    const { registry, asked } = scriptedRegistry({ records: [KEY] }, [{ kind: "conflict" }]);
    expect(await revokeOne(registry, KEY.keyId, admin)).toEqual(DONE);
    expect(asked).toHaveLength(2);
  });

  test("that was made before writes nothing, and is acknowledged only if it is durable", async () => {
    const records = [{ ...KEY, revokedAt: NOW - 5, version: 2 }];
    const before = scriptedRegistry({ records });
    expect(await revokeOne(before.registry, KEY.keyId, admin)).toEqual(DONE_BEFORE);
    expect([before.asked, before.confirmed]).toEqual([[], [[]]]);
    const lost = scriptedRegistry({ records, durable: false });
    await expect(revokeOne(lost.registry, KEY.keyId, admin)).rejects.toThrow(NotReplicated);
  });

  test("without a record is denied, or written on request, for as long as the key could live", async () => {
    const { registry, asked, known } = scriptedRegistry();
    expect(await revokeOne(registry, KEY.keyId, admin)).toEqual({ kind: "refused", reason: "key_unknown" });
    expect(asked).toEqual([]);
    for (const [keyId, expiresAt] of [
      [KEY.keyId, UNTIL],
      [V1_KEY, NEVER],
    ] as const) {
      expect(await revokeOne(registry, keyId, admin, true)).toEqual(DONE);
      const version = NOW * 1000;
      const end = { kind: "key", keyId, version, expiresAt, revoked: true, disabled: false };
      expect(asked.at(-1)).toMatchObject({ put: [], end, audit: [{ event: "key_revoked", keyId }] });
      expect(known().at(-1)).toEqual(end);
    }
  });
});

describe("the end of a family", () => {
  const written = (family: string, until: number) =>
    ({ end: { end: { kind: "family", family, until }, isBeyondIssued: true } }) satisfies Held;

  test.each([
    [KEY.family, UNTIL],
    [V1_FAMILY, NEVER],
    ["corp:alice", UNTIL],
  ])("of %s lasts as long as a key of it could live", async (family, until) => {
    const { registry, asked } = scriptedRegistry();
    expect(await revokeFamily(registry, family, admin)).toEqual(DONE);
    const end = { kind: "family", family, until };
    expect(asked).toMatchObject([{ put: [], end, audit: [{ event: "family_revoked", family }] }]);
  });

  test("by the holder of a key needs no record", async () => {
    const { registry, asked } = scriptedRegistry();
    expect(await revokeByHolder(registry, KEY, admin)).toEqual(DONE);
    expect(asked).toMatchObject([{ end: { kind: "family", family: KEY.family, until: UNTIL } }]);
  });

  // Another issuer continues to issue tokens, so its end is prolonged once a day.
  test.each([
    ["lasts", KEY.family, NOW + 1, true],
    ["is over", KEY.family, NOW, false],
    ["was written within a day", "corp:alice", UNTIL - DAY + 1, true],
    ["was written a day ago", "corp:alice", UNTIL - DAY, false],
  ])("that %s: %s until %s suffices: %s", async (_what, family, until, suffices) => {
    const { registry, asked, known, confirmed } = scriptedRegistry(written(family, until));
    expect(await revokeFamily(registry, family, admin)).toEqual(suffices ? DONE_BEFORE : DONE);
    expect(asked).toHaveLength(suffices ? 0 : 1);
    expect(known()).toEqual([{ kind: "family", family, until: suffices ? until : UNTIL }]);
    expect(confirmed).toHaveLength(suffices ? 1 : 0);
  });

  test("that was made before is acknowledged only if it is durable, and applies here even if not", async () => {
    const { registry, known } = scriptedRegistry({ ...written(KEY.family, UNTIL), durable: false });
    await expect(revokeFamily(registry, KEY.family, admin)).rejects.toThrow(NotReplicated);
    expect(known()).toHaveLength(1);
  });
});

describe("the end of all keys of an owner", () => {
  const cutOff: CutOff = { scope: "owner", subject: "acme", before: NOW + 1, until: NEVER };

  test("is later than now, and the store checks that it is later than every issue date", async () => {
    const { registry, asked } = scriptedRegistry();
    expect(await revokeOwner(registry, "acme", admin)).toEqual(DONE);
    expect(asked).toMatchObject([
      {
        put: [],
        end: { kind: "cutoff", ...cutOff },
        requires: { beyondIssued: true },
        audit: [{ event: "owner_revoked", owner: "acme" }],
      },
    ]);
  });

  test("is repeated with the moment that the store asks for", async () => {
    const { registry, asked, known } = scriptedRegistry({}, [{ kind: "early", before: NOW + 7 }]);
    expect(await revokeOwner(registry, "acme", admin)).toEqual(DONE);
    expect(asked.map(({ end }) => end)).toMatchObject([{ before: NOW + 1 }, { before: NOW + 7 }]);
    expect(known()).toEqual([{ kind: "cutoff", ...cutOff, before: NOW + 7 }]);
  });

  test("is repeated with the same moment if another change came first", async () => {
    const { registry, asked } = scriptedRegistry({}, [{ kind: "conflict" }]);
    expect(await revokeOwner(registry, "acme", admin)).toEqual(DONE);
    expect(asked.map(({ end }) => end)).toMatchObject([{ before: NOW + 1 }, { before: NOW + 1 }]);
  });

  test("that was made before suffices only if no key was issued since", async () => {
    for (const isBeyondIssued of [true, false]) {
      const { registry, asked, known } = scriptedRegistry({
        end: { end: { kind: "cutoff", ...cutOff, before: NOW - 5 }, isBeyondIssued },
      });
      expect(await revokeOwner(registry, "acme", admin)).toEqual(isBeyondIssued ? DONE_BEFORE : DONE);
      expect(asked).toHaveLength(isBeyondIssued ? 0 : 1);
      expect(known()).toMatchObject([{ before: isBeyondIssued ? NOW - 5 : NOW + 1 }]);
    }
  });
});

describe("the incident switch", () => {
  test.each([
    [{}, { scope: "all", subject: "" }],
    [{ role: "basic" }, { scope: "role", subject: "basic" }],
    [{ owner: "acme" }, { scope: "owner", subject: "acme" }],
  ])("for %j ends the keys of %j only", async (incident, of) => {
    const { registry, asked } = scriptedRegistry();
    expect(await revokeIssuedBefore(registry, NOW - 100, incident, admin)).toEqual(DONE);
    expect(asked).toMatchObject([
      { put: [], end: { kind: "cutoff", ...of, before: NOW - 100, until: NEVER } },
    ]);
    const [event] = asked[0]?.audit ?? [];
    expect(event).toMatchObject({ event: "keys_cut_off", ...incident });
    expect([event?.role, event?.owner]).toEqual([Object(incident).role, Object(incident).owner]);
  });

  test("at a moment of the last seconds includes every key, and at an earlier one is exact", async () => {
    for (const [ago, isNow] of [
      [0, true],
      [2, true],
      [3, false],
    ] as const) {
      const { registry, asked } = scriptedRegistry();
      await revokeIssuedBefore(registry, NOW - ago, {}, admin);
      expect(asked).toMatchObject([{ end: { before: NOW - ago } }]);
      expect(asked[0]?.requires).toEqual(isNow ? { beyondIssued: true } : undefined);
    }
  });

  test("at a moment ahead by the operator's clock counts as now, so later keys stay valid", async () => {
    for (const ahead of [1, 2, 3]) {
      const { registry, asked } = scriptedRegistry();
      await revokeIssuedBefore(registry, NOW + ahead, {}, admin);
      expect(asked).toMatchObject([{ end: { before: NOW + 1 }, requires: { beyondIssued: true } }]);
    }
  });

  test("is not in the future up to two seconds ahead, rounded up to a whole second", () => {
    const nowMs = NOW * 1000 + 400;
    expect([0, 1, 3, 4].map((ahead) => isInFuture(NOW + ahead, nowMs))).toEqual([false, false, false, true]);
    expect(isInFuture(NOW + 3, NOW * 1000)).toBe(true);
  });

  test("suffices if a stored cut-off of an earlier moment is as late, whatever was issued since", async () => {
    for (const [before, suffices] of [
      [NOW - 99, true],
      [NOW - 100, true],
      [NOW - 101, false],
    ] as const) {
      const stored = { kind: "cutoff", scope: "all", subject: "", before, until: NEVER } as const;
      const { registry, asked } = scriptedRegistry({ end: { end: stored, isBeyondIssued: !suffices } });
      const result = await revokeIssuedBefore(registry, NOW - 100, {}, admin);
      expect([before, result]).toEqual([before, suffices ? DONE_BEFORE : DONE]);
      expect(asked).toHaveLength(suffices ? 0 : 1);
    }
  });

  test("of the last seconds is repeated with the moment that the store asks for", async () => {
    const { registry, asked } = scriptedRegistry({}, [{ kind: "early", before: NOW + 7 }]);
    await revokeIssuedBefore(registry, NOW, {}, admin);
    expect(asked.map(({ end }) => end)).toMatchObject([{ before: NOW }, { before: NOW + 7 }]);
  });
});
