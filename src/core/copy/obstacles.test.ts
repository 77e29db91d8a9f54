import { describe, expect, test } from "vitest";
import type { MemoryContents } from "../../../test/support/memory-copied-store.ts";
import { memoryStore } from "../../../test/support/memory-copied-store.ts";
import { KEY } from "../../../test/support/scripted-registry.ts";
import { findObstacle } from "./obstacles.ts";

const obstacle = (source: MemoryContents, target: MemoryContents, mayMerge = false) =>
  findObstacle({
    source: memoryStore({ id: "source", ...source }),
    target: memoryStore({ id: "target", ...target }),
    mayMerge,
  });

test("two stores without keys have no obstacle", async () => {
  expect(await obstacle({}, {})).toBeUndefined();
  expect(await obstacle({}, { id: undefined })).toBeUndefined();
});

test("a source without a registry", async () => {
  expect(await obstacle({ id: undefined }, { id: undefined })).toBe(
    "the source has no registry: check its address and its database number in --from",
  );
});

test("a store and its clone", async () => {
  expect(await obstacle({}, { id: "source" })).toMatch(
    /^both sides are the same store, .* check --from and --to$/,
  );
});

describe("the clock of the source", () => {
  test.each([
    ["differs less than 5 s", 4999, undefined],
    ["is less than 5 s behind", -4999, undefined],
    ["is 5 s ahead", 5000, /^the clock of the source is 5 s ahead of the target's: check the time/],
    ["is 61 s behind", -61_400, /^the clock of the source is 61 s behind the target's: check the time/],
  ])("%s", async (_, aheadMs, message) => {
    const found = await obstacle({ nowMs: 1e12 + aheadMs }, { nowMs: 1e12 });
    if (message === undefined) expect(found).toBeUndefined();
    else expect(found).toMatch(message);
  });
});

describe("the instances of the target", () => {
  const found = (source: MemoryContents["instances"], target: MemoryContents["instances"]) =>
    obstacle({ instances: source ?? [] }, { instances: target ?? [] });

  test("have the settings of the source's", async () => {
    const settings = { JWT_SECRET: ["a"], JWT_ISSUER: ["i"] };
    expect(await found([settings], [settings])).toBeUndefined();
  });

  test("share one of the secrets of a rotation", async () => {
    expect(await found([{ JWT_SECRET: ["a", "b"] }], [{ JWT_SECRET: ["b", "c"] }])).toBeUndefined();
    expect(
      await found([{ JWT_SECRET: ["a"] }, { JWT_SECRET: ["b"] }], [{ JWT_SECRET: ["b"] }]),
    ).toBeUndefined();
  });

  test("do not run, or do not publish a setting", async () => {
    expect(await found([{ JWT_SECRET: ["a"] }], [])).toBeUndefined();
    expect(await found([], [{ JWT_SECRET: ["a"] }])).toBeUndefined();
    expect(await found([{ JWT_SECRET: ["a"] }], [{ JWT_ISSUER: ["i"] }])).toBeUndefined();
    expect(await found([{ JWT_SECRET: [] }], [{ JWT_SECRET: ["a"] }])).toBeUndefined();
  });

  test("belong to another fleet", async () => {
    const ours = { JWT_SECRET: ["a"], JWT_ISSUER: ["i"], KEY_HASH_SECRET: ["h"] };
    const theirs = { JWT_SECRET: ["b"], JWT_ISSUER: ["i"], KEY_HASH_SECRET: ["other"] };
    expect(await found([ours, ours], [theirs])).toMatch(
      /^the target belongs to another fleet: its instances have another JWT_SECRET and KEY_HASH_SECRET; check --to/,
    );
  });
});

describe("the generated secrets of the target", () => {
  const secrets = (...rows: readonly (readonly [name: string, value: string])[]) => ({
    secrets: rows.map(([name, value]) => ({ name, value })),
  });

  test("are the same, or are not generated yet", async () => {
    const all = secrets(["jwt_secret", "a"], ["key_hash_secret", "h"]);
    expect(await obstacle(all, all)).toBeUndefined();
    expect(await obstacle(all, {})).toBeUndefined();
    expect(await obstacle({}, all)).toBeUndefined();
  });

  test("differ where keys do not depend on them", async () => {
    expect(
      await obstacle(secrets(["console_secret", "a"]), secrets(["console_secret", "b"])),
    ).toBeUndefined();
  });

  test.each(["jwt_secret", "key_hash_secret"])("have another %s, also on a later page", async (name) => {
    const others = ["a", "b", "c"].map((other) => [other, "same"] as const);
    expect(await obstacle(secrets(...others, [name, "a"]), secrets(...others, [name, "b"]))).toMatch(
      new RegExp(
        `^the target belongs to another fleet: it has generated another ${name.toUpperCase()}, .*check --to`,
      ),
    );
  });
});

describe("a target with keys", () => {
  const keys = { keys: [{ record: KEY }] };

  test.each([
    ["has copies of the source", {}, { origins: ["source"] }],
    ["was copied to the source before", { origins: ["target"] }, {}],
    ["and the source have copies of a third store", { origins: ["third"] }, { origins: ["third", "fourth"] }],
  ])("%s", async (_, source, target) => {
    expect(await obstacle(source, { ...keys, ...target })).toBeUndefined();
  });

  test.each([
    ["has no relation to the source", {}, {}],
    ["has copies of another store", { origins: ["third"] }, { origins: ["fourth"] }],
  ])("%s", async (_, source, target) => {
    const both = [source, { ...keys, ...target }] as const;
    expect(await obstacle(...both)).toBe(
      "the target has keys that do not come from this source: check --to, or accept them with --merge",
    );
    expect(await obstacle(...both, true)).toBeUndefined();
  });
});
