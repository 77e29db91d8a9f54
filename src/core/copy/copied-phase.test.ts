import { expect, test } from "vitest";
import { decodeCopiedPhase, encodeCopiedPhase } from "./copied-phase.ts";

const state = { phase: "gradual", chosen: true, version: 9 } as const;

test("the target stores the version in the source and its own, which may be later", () => {
  expect(encodeCopiedPhase({ state, from: "s" })).toBe("9 9");
  const text = encodeCopiedPhase({ state, from: "s", copied: { sourceVersion: 7, version: 9 } });
  expect(text).toBe("7 9");
  expect(decodeCopiedPhase(text)).toEqual({ sourceVersion: 7, version: 9 });
});

test("a text with one version has the same in both stores", () => {
  expect(decodeCopiedPhase("7")).toEqual({ sourceVersion: 7, version: 7 });
});
