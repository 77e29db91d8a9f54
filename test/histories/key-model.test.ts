import { expect, test } from "vitest";
import type { KnownKey } from "./key-model.ts";
import { expectedOf, MAX_STALENESS_MS } from "./key-model.ts";

const keyWith = (parts: Partial<KnownKey>): KnownKey => ({
  token: "t",
  keyId: "k",
  owner: undefined,
  isLegacy: false,
  sentMs: 0,
  ackedMs: 1,
  ends: [],
  switches: [],
  isRecordLost: false,
  ...parts,
});
const LATER = 100 + MAX_STALENESS_MS + 1000;
const end = { what: "e", sentMs: 90, ackedMs: 100, isCertain: true };

test("a key that nothing has ended is allowed", () => {
  expect(expectedOf(keyWith({}), [], { sentMs: 50, answeredMs: 60 })).toBe("allowed");
  expect(expectedOf(keyWith({ ends: [end] }), [], { sentMs: 50, answeredMs: 60 })).toBe("allowed");
});

test("an end is certain once it has been acknowledged for longer than an instance may be stale", () => {
  expect(expectedOf(keyWith({ ends: [end] }), [], { sentMs: 95, answeredMs: 96 })).toBe("either");
  expect(expectedOf(keyWith({ ends: [end] }), [], { sentMs: 110, answeredMs: 120 })).toBe("either");
  expect(expectedOf(keyWith({ ends: [end] }), [], { sentMs: LATER, answeredMs: LATER })).toBe("denied");
  expect(
    expectedOf(keyWith({ ends: [{ ...end, isCertain: false }] }), [], { sentMs: LATER, answeredMs: LATER }),
  ).toBe("either");
  expect(
    expectedOf(keyWith({ ends: [{ ...end, ackedMs: Infinity }] }), [], { sentMs: LATER, answeredMs: LATER }),
  ).toBe("either");
});

test("of several switches, the last certain one applies", () => {
  const off = { what: "off", sentMs: 90, ackedMs: 100, denies: true };
  const on = { what: "on", sentMs: 110, ackedMs: 120, denies: false };
  expect(expectedOf(keyWith({ switches: [off] }), [], { sentMs: LATER, answeredMs: LATER })).toBe("denied");
  expect(
    expectedOf(keyWith({ switches: [off, on] }), [], { sentMs: LATER + 50, answeredMs: LATER + 50 }),
  ).toBe("allowed");
  expect(
    expectedOf(keyWith({ switches: [off, { ...on, ackedMs: Infinity }] }), [], {
      sentMs: LATER,
      answeredMs: LATER,
    }),
  ).toBe("either");
  expect(
    expectedOf(keyWith({ switches: [off], ends: [{ ...end, isCertain: false }] }), [], {
      sentMs: LATER,
      answeredMs: LATER,
    }),
  ).toBe("denied");
});

test("a switch for whose response the client has not waited may still apply after a later one", () => {
  const off = { what: "off", sentMs: 90, ackedMs: Infinity, isOpen: true, denies: true } as const;
  const on = { what: "on", sentMs: 110, ackedMs: 120, denies: false };
  const moment = { sentMs: LATER + 50, answeredMs: LATER + 50 };
  expect(expectedOf(keyWith({ switches: [off, on] }), [], moment)).toBe("either");
});

test("a phase that removes V1 keys denies them, and no others", () => {
  const removed = { what: "removed", sentMs: 90, ackedMs: 100, denies: true };
  expect(expectedOf(keyWith({ isLegacy: true }), [removed], { sentMs: LATER, answeredMs: LATER })).toBe(
    "denied",
  );
  expect(expectedOf(keyWith({ isLegacy: true }), [removed], { sentMs: 110, answeredMs: 120 })).toBe("either");
  expect(expectedOf(keyWith({}), [removed], { sentMs: LATER, answeredMs: LATER })).toBe("allowed");
});

test("while an instance may read a primary that was replaced, its state is known later", () => {
  const moment = { sentMs: LATER, answeredMs: LATER, splitMs: 3000 };
  expect(expectedOf(keyWith({ ends: [end] }), [], moment)).toBe("either");
  expect(expectedOf(keyWith({ isLegacy: true, ackedMs: 100 }), [], moment)).toBe("either");
  const later = { sentMs: LATER + 3000, answeredMs: LATER + 3000, splitMs: 3000 };
  expect(expectedOf(keyWith({ ends: [end] }), [], later)).toBe("denied");
  expect(expectedOf(keyWith({ isLegacy: true, ackedMs: 100 }), [], later)).toBe("allowed");
});
