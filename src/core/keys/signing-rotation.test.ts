import { expect, test } from "vitest";
import type { KeyInUse, RotationFacts } from "./signing-rotation.ts";
import { rotationOf } from "./signing-rotation.ts";

const NOW_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;

function fileKey(kid: string, more: Partial<KeyInUse> = {}): KeyInUse {
  return { kid, alg: "ES256", canSign: true, origin: "JWT_KEYS_FILE", ...more };
}

function rotation(keys: readonly KeyInUse[], more: Partial<RotationFacts> = {}) {
  return rotationOf({
    keys,
    addedAtMs: new Map(),
    instances: [keys.map(({ kid }) => kid)],
    longestTtlSeconds: 86_400,
    nowMs: NOW_MS,
    ...more,
  });
}

const statesOf = (...args: Parameters<typeof rotation>) => rotation(...args).keys.map(({ state }) => state);
const nextOf = (...args: Parameters<typeof rotation>) => rotation(...args).next;

const secret = (kid: string, origin: KeyInUse["origin"]): KeyInUse => fileKey(kid, { alg: "HS256", origin });

test("the steps of a file follow each other: add, promote, wait for the keys that were signed, retire", () => {
  const former = fileKey("old", { signedUntilMs: NOW_MS - DAY_MS / 2 });
  expect(nextOf([fileKey("old")])).toMatchObject({ step: "add", kid: undefined, waitsFor: undefined });
  expect(nextOf([fileKey("old"), fileKey("new")])).toMatchObject({
    step: "promote",
    kid: "new",
    waitsFor: undefined,
  });
  expect(nextOf([fileKey("new"), former])).toEqual({
    step: "retire",
    kid: "old",
    waitsFor: "expiry",
    notBeforeMs: NOW_MS + DAY_MS / 2,
  });
  expect(nextOf([fileKey("new"), former], { nowMs: NOW_MS + DAY_MS })).toMatchObject({
    step: "retire",
    waitsFor: undefined,
  });
});

test("no step is ready while an instance lacks the step before", () => {
  const both = [fileKey("old"), fileKey("new")];
  expect(nextOf(both, { instances: [["old", "new"], ["old"]] })).toMatchObject({
    step: "promote",
    waitsFor: "instances",
  });
  const promoted = [fileKey("new"), fileKey("old", { signedUntilMs: NOW_MS - 9 * DAY_MS })];
  expect(
    nextOf(promoted, {
      instances: [
        ["new", "old"],
        ["old", "new"],
      ],
    }),
  ).toMatchObject({
    step: "retire",
    waitsFor: "instances",
  });
  expect(
    rotation(promoted, {
      instances: [
        ["new", "old"],
        ["old", "new"],
      ],
    }).keys.map(({ acceptedBy, signedBy }) => [acceptedBy, signedBy]),
  ).toEqual([
    [2, 1],
    [2, 1],
  ]);
});

test("of several former keys, the one is retired first that needs to wait the shortest", () => {
  const ended = (kid: string, days: number) => fileKey(kid, { signedUntilMs: NOW_MS - days * DAY_MS });
  const keys = [fileKey("new"), ended("a", 0.2), ended("b", 0.7), ended("c", 0.4)];
  expect(nextOf(keys)).toEqual({
    step: "retire",
    kid: "b",
    waitsFor: "expiry",
    notBeforeMs: NOW_MS + 0.3 * DAY_MS,
  });
});

test("a former key can be retired from the moment when its last API key has expired, and then says no time", () => {
  const keys = [fileKey("new"), fileKey("old", { signedUntilMs: NOW_MS })];
  const at = (nowMs: number) => nextOf(keys, { nowMs });
  expect(at(NOW_MS + DAY_MS - 1)).toMatchObject({ waitsFor: "expiry", notBeforeMs: NOW_MS + DAY_MS });
  expect(at(NOW_MS + DAY_MS)).toMatchObject({ waitsFor: undefined, notBeforeMs: undefined });
});

test("a key that signs again, or waits, is not retired", () => {
  const again = fileKey("again", { signedUntilMs: NOW_MS - 9 * DAY_MS });
  const { keys, next } = rotation([again, fileKey("new")]);
  expect(keys.map(({ retireAtMs }) => retireAtMs)).toEqual([undefined, undefined]);
  expect(next).toMatchObject({ step: "promote", kid: "new" });
});

test("a secret is the next or a former one by when it was first seen, and neither if both came together", () => {
  const keys = [secret("a", "JWT_SECRET"), secret("b", "JWT_SECRET_PREVIOUS")];
  const seen = (a: number, b: number) => ({
    addedAtMs: new Map([
      ["a", a],
      ["b", b],
    ]),
  });
  expect(statesOf(keys, seen(NOW_MS - DAY_MS, NOW_MS))).toEqual(["signs", "waits"]);
  expect(statesOf(keys, seen(NOW_MS, NOW_MS - DAY_MS))).toEqual(["signs", "signed"]);
  expect(statesOf(keys, seen(NOW_MS, NOW_MS + 5))).toEqual(["signs", "verifies"]);
  for (const kid of ["a", "b"])
    expect(statesOf(keys, { addedAtMs: new Map([[kid, NOW_MS]]) })).toEqual(["signs", "verifies"]);
  expect(statesOf(keys)).toEqual(["signs", "verifies"]);
  expect(nextOf(keys, seen(NOW_MS, NOW_MS - DAY_MS))).toMatchObject({
    step: "retire",
    waitsFor: "unknown_end",
  });
});

test("a public key waits for nothing, and a generated secret cannot be rotated by a setting that is not there", () => {
  expect(statesOf([fileKey("a"), fileKey("b", { canSign: false })])).toEqual(["signs", "verifies"]);
  expect(nextOf([secret("a", "generated")])).toMatchObject({ step: "add", waitsFor: "setting" });
});
