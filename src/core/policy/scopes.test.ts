import { expect, test } from "vitest";
import { grantedScopes, scopesSuffice, scopesToAskFor } from "./scopes.ts";

test.each<readonly [key: string, role: string, granted: string]>([
  ["a b", "a b c", "a b"],
  ["a b", "b", "b"],
  ["a b", "", ""],
  ["", "a", ""],
  ["b a", "a b", "b a"],
])("a key with '%s' of a role with '%s' has '%s'", (key, role, granted) => {
  const words = (text: string) => text.split(" ").filter(Boolean);
  expect(grantedScopes(words(key), new Set(words(role)))).toEqual(words(granted));
});

test("a key that keeps all its scopes keeps its list, so that caches can compare it", () => {
  const scopes = ["a"];
  expect(grantedScopes(scopes, new Set(["a", "b"]))).toBe(scopes);
});

test.each<readonly [granted: string[], scopes: string[], anyScope: string[], suffices: boolean]>([
  [[], [], [], true],
  [["a"], ["a"], [], true],
  [["a"], ["a", "b"], [], false],
  [["a", "b"], ["a", "b"], [], true],
  [["b"], [], ["a", "b"], true],
  [["c"], [], ["a", "b"], false],
  [[], [], ["a"], false],
  [["a"], ["a"], ["b"], false],
  [["b"], ["a"], ["b"], false],
  [["a", "b"], ["a"], ["b", "c"], true],
])("%j for all of %j and one of %j: %s", (granted, scopes, anyScope, suffices) => {
  expect(scopesSuffice(granted, { scopes, anyScope })).toBe(suffices);
});

test("a challenge names all scopes that suffice", () => {
  expect(scopesToAskFor({ scopes: ["a"], anyScope: ["b", "c"] })).toEqual(["a", "b", "c"]);
});
