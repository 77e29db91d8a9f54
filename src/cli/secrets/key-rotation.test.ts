import { describe, expect, test } from "vitest";
import { secretKid } from "../../jwt/key-ring.ts";
import type { KeyEntry, Keys, RotationResult } from "./key-rotation.ts";
import { addKey, promoteKey, retireKey, stateOf } from "./key-rotation.ts";
import type { SecretRotationResult, Secrets } from "./secret-rotation.ts";
import {
  addSecret,
  asVariables,
  demoteSigningSecret,
  promoteSecret,
  retireSecret,
  shellLine,
} from "./secret-rotation.ts";

const DAY_SECONDS = 86_400;
const START_MS = Date.parse("2026-11-25T12:00:00Z");

function pair(kid: string): KeyEntry {
  return { kid, alg: "ES256", kty: "EC", d: "private", note: "kept" };
}

/** The keys of a file, with a fake clock. */
function fileOf(keys: readonly KeyEntry[], secretSigns = false) {
  let known: Keys = { keys, secretSigns, nowMs: START_MS };
  const apply = (result: RotationResult) => {
    if (result.kind === "changed") known = { ...known, keys: result.keys };
    return result;
  };
  return {
    advance: (seconds: number) => {
      known = { ...known, nowMs: known.nowMs + seconds * 1000 };
    },
    add: (kid: string, another = false) => apply(addKey(known, pair(kid), another)),
    promote: (kid?: string) => apply(promoteKey(known, kid)),
    retire: (options: { kid?: string; force?: boolean; sinceMs?: number } = {}) =>
      apply(retireKey(known, { force: false, longestTtlSeconds: 90 * DAY_SECONDS, ...options })),
    states: () => known.keys.map((key) => `${key.kid} ${stateOf(key, known)}`),
    keys: () => known.keys,
  };
}

describe("the keys of a file", () => {
  test("are rotated in three steps: added, promoted, and retired after the longest ttl", () => {
    const file = fileOf([pair("old")]);
    expect(file.add("new")).toMatchObject({ kind: "changed", kid: "new" });
    expect(file.states()).toEqual(["old signs", "new waits"]);
    file.advance(60);
    expect(file.promote()).toMatchObject({ kind: "changed", kid: "new" });
    expect(file.states()).toEqual(["new signs", "old signed"]);
    file.advance(90 * DAY_SECONDS - 1);
    expect(file.retire()).toMatchObject({ kind: "refused", retireAt: "2027-02-23T12:01:00Z" });
    file.advance(1);
    expect(file.retire()).toMatchObject({ kind: "changed", kid: "old" });
    expect(file.keys()).toEqual([
      { ...pair("new"), added_at: "2026-11-25T12:00:00Z", signs_from: "2026-11-25T12:01:00Z" },
    ]);
  });

  test("do not change when a step is repeated", () => {
    const file = fileOf([pair("old")]);
    file.add("new");
    expect(file.add("newer")).toMatchObject({ kind: "unchanged", kid: "new" });
    expect(file.add("newer", true)).toMatchObject({ kind: "changed", kid: "newer" });
    expect(file.add("newer", true)).toMatchObject({ kind: "unchanged", kid: "newer" });
    file.promote("new");
    expect(file.promote("new")).toMatchObject({ kind: "unchanged" });
    file.retire({ kid: "newer" });
    expect(file.promote()).toMatchObject({ kind: "unchanged", kid: "new" });
    file.retire({ force: true });
    expect(file.retire()).toMatchObject({ kind: "unchanged" });
    expect(file.retire({ kid: "old" })).toMatchObject({ kind: "unchanged" });
    expect(file.states()).toEqual(["new signs"]);
  });

  test("are promoted by name if several wait, and a signing key is never retired", () => {
    const file = fileOf([pair("old"), pair("a"), pair("b")]);
    expect(file.promote()).toMatchObject({ kind: "refused", message: expect.stringContaining("a, b") });
    expect(file.promote("c")).toMatchObject({ kind: "refused" });
    expect(file.retire({ kid: "old", force: true })).toMatchObject({ kind: "refused" });
  });

  test("can be promoted again after they stopped signing", () => {
    const file = fileOf([pair("old")]);
    file.add("new");
    file.promote();
    expect(file.promote("old")).toMatchObject({ kind: "changed", kid: "old" });
    expect(file.states()).toEqual(["old signs", "new signed"]);
  });

  test("are retired at once if they never signed; otherwise the time is in the file or in --since", () => {
    const file = fileOf([pair("old"), pair("by hand")]);
    file.add("added", true);
    expect(file.retire({ kid: "added" })).toMatchObject({ kind: "changed" });
    expect(file.retire({ kid: "by hand" })).toMatchObject({
      kind: "refused",
      message: expect.stringContaining("--since"),
    });
    const since = (days: number) => START_MS - days * DAY_SECONDS * 1000;
    expect(file.retire({ kid: "by hand", sinceMs: since(89) })).toMatchObject({ kind: "refused" });
    expect(file.retire({ kid: "by hand", sinceMs: since(90) })).toMatchObject({ kind: "changed" });
  });

  test("only verify without a private part", () => {
    const { d: _, ...publicKey } = pair("public");
    const file = fileOf([pair("old"), { ...publicKey, kid: "public", alg: "ES256", kty: "EC" }]);
    expect(file.states()).toEqual(["old signs", "public verifies"]);
    expect(file.promote("public")).toMatchObject({ kind: "refused" });
  });

  test("verify while a secret signs, and sign once the secret is unset", () => {
    const file = fileOf([], true);
    expect(file.add("first")).toMatchObject({ kind: "changed" });
    expect(file.states()).toEqual(["first waits"]);
    expect(file.promote()).toMatchObject({
      kind: "changed",
      message: expect.stringContaining("no JWT_SECRET"),
    });
    expect(file.promote()).toMatchObject({ kind: "unchanged", kid: "first" });
  });
});

describe("secrets in the environment", () => {
  const [one, two] = ["one".repeat(12), "two'".repeat(9)];
  const applied = (result: SecretRotationResult): Secrets => {
    if (result.kind !== "changed") throw new Error(result.message);
    return result.set;
  };
  const retirement = { force: false, longestTtlSeconds: DAY_SECONDS };

  test("are rotated by returning the variables to set, and are named by a digest", () => {
    const added = applied(addSecret({ signing: one, previous: [] }, two, false));
    expect(added).toEqual({ signing: one, previous: [two] });
    expect(addSecret(added, "three".repeat(8), false)).toMatchObject({ kind: "unchanged" });
    expect(promoteSecret(added, undefined)).toMatchObject({ kind: "refused" });
    const promoted = applied(promoteSecret(added, secretKid(two)));
    expect(promoted).toEqual({ signing: two, previous: [one] });
    expect(promoteSecret(promoted, secretKid(two))).toMatchObject({ kind: "unchanged" });
    const kid = secretKid(one);
    expect(retireSecret(promoted, { ...retirement, kid }, START_MS)).toMatchObject({ kind: "refused" });
    const sinceMs = START_MS - DAY_SECONDS * 1000;
    expect(retireSecret(promoted, { ...retirement, kid, sinceMs: sinceMs + 1 }, START_MS)).toMatchObject({
      retireAt: "2026-11-25T12:00:01Z",
    });
    const retired = applied(retireSecret(promoted, { ...retirement, kid, sinceMs }, START_MS));
    expect(retired).toEqual({ signing: two, previous: [] });
    expect(retireSecret(promoted, { ...retirement, force: true, kid: secretKid(two) }, 0)).toMatchObject({
      kind: "refused",
    });
  });

  test("sign if they are the first, and keep verifying when a key of a file signs instead", () => {
    expect(applied(addSecret({ previous: [] }, one, false))).toEqual({ signing: one, previous: [] });
    expect(demoteSigningSecret({ signing: one, previous: [two] })).toEqual({ previous: [one, two] });
    expect(asVariables({ previous: [one, two] })).toEqual({
      JWT_SECRET: "",
      JWT_SECRET_PREVIOUS: `${one},${two}`,
    });
  });

  test("are printed in the syntax of a shell", () => {
    expect(shellLine(["A", "x_-.,:=+/9"])).toBe("A=x_-.,:=+/9");
    expect(shellLine(["A", "it's $x"])).toBe("A='it'\\''s $x'");
  });
});
