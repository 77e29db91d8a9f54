import { expect, test } from "vitest";
import type { KeyRecord } from "../core/key-record.ts";
import { NEVER } from "../core/key-record.ts";
import type { Verification } from "../core/ports.ts";
import { createLegacyForm } from "./hasher.ts";
import { createLegacyVerifier } from "./verifier.ts";

const NOW_MS = 1_800_000_000_000;
const form = createLegacyForm(["current-secret-current-secret-123"], () => "x".repeat(22));
const KEY = "another-systems-key";

function recordOf(key: string): KeyRecord {
  return {
    keyId: "basic_1_v1abcdefghijklmnopqrstuv",
    family: "fam_v1abcdefghijklmnopqrstuv",
    familyStartedAt: 1,
    role: "basic",
    scopes: ["a"],
    name: "n",
    issuedAt: 1,
    expiresAt: NEVER,
    refreshAfter: NEVER,
    selfService: false,
    disabled: false,
    legacy: form.kept(key),
    version: 1,
  };
}

/** A verifier on a store of one key, which counts what it is asked. */
function world(options: { readonly down?: () => boolean } = {}) {
  const asked: string[] = [];
  let nowMs = 0;
  const records = new Map<string, KeyRecord>();
  const verifier = createLegacyVerifier({
    form,
    async find(hashes) {
      asked.push(hashes[0] ?? "");
      if (options.down?.()) throw new Error("the store is down");
      return hashes.map((hash) => records.get(hash)).find((record) => record !== undefined);
    },
    outdated: () => undefined,
    monotonicMs: () => nowMs,
    cacheSize: 1000,
  });
  return {
    asked,
    records,
    verify: async (key: string) => {
      const result: Verification = await verifier.verify(key, NOW_MS);
      return result.ok ? "good" : result.reason;
    },
    verifier,
    add: (key: string) => records.set(form.kept(key).hash, recordOf(key)),
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

test("a warm key costs no store access, and ten who come at once cost one", async () => {
  const { verify, asked, add } = world();
  add(KEY);
  expect(await Promise.all(Array.from({ length: 10 }, () => verify(KEY)))).toEqual(
    Array.from({ length: 10 }, () => "good"),
  );
  expect(await verify(KEY)).toBe("good");
  expect(asked.length).toBe(1);
});

test("an unknown key is remembered as such for a while, or until it is told that new ones are there", async () => {
  const { verify, asked, add, pass, verifier } = world();
  expect([await verify(KEY), await verify(KEY), asked.length]).toEqual([
    "credential_invalid",
    "credential_invalid",
    1,
  ]);
  add(KEY);
  expect(await verify(KEY)).toBe("credential_invalid");
  verifier.forget([]);
  expect(await verify(KEY)).toBe("good");
  expect(await verify("another-unknown-key")).toBe("credential_invalid");
  pass(10_001);
  await verify("another-unknown-key");
  expect(asked.length).toBe(4);
});

test("garbage does not reach the store without bound, and known keys are served meanwhile", async () => {
  const { verify, asked, add, pass } = world();
  add(KEY);
  await verify(KEY);
  const answers = await Promise.all(Array.from({ length: 2000 }, (_, at) => verify(`garbage-number-${at}`)));
  expect(answers.filter((answer) => answer === "credential_unavailable").length).toBe(2000 - 399);
  expect(asked.length).toBe(400);
  expect(await verify(KEY)).toBe("good");
  pass(1000);
  expect(await verify("garbage-number-later")).toBe("credential_invalid");
});

test("a store that is down is told, not taken for a key that is none", async () => {
  let down = true;
  const { verify, add } = world({ down: () => down });
  add(KEY);
  expect(await verify(KEY)).toBe("credential_unavailable");
  down = false;
  expect(await verify(KEY)).toBe("good");
});

test("what changes while a key is looked up is not kept as it was", async () => {
  const { verify, asked, add, verifier } = world();
  add(KEY);
  const looking = verify(KEY);
  verifier.forget([recordOf(KEY).keyId]);
  await looking;
  await verify(KEY);
  expect(asked.length).toBe(2);
});

test("a key of which something has changed is looked up anew, and only that one", async () => {
  const { verify, asked, add, verifier } = world();
  add(KEY);
  await verify(KEY);
  verifier.forget(["another_1_v1abcdefghijklmnopqrstuv"]);
  await verify(KEY);
  expect(asked.length).toBe(1);
  verifier.forget([recordOf(KEY).keyId]);
  await verify(KEY);
  expect(asked.length).toBe(2);
});

test("after something may have been missed, known keys are served as they were while they are looked up once more", async () => {
  const { verify, asked, add, verifier, records } = world();
  add(KEY);
  await verify(KEY);
  expect(await verify("unknown-so-far")).toBe("credential_invalid");
  verifier.distrust();
  // A store that has lost the key does not take it from those who have it.
  records.clear();
  add("unknown-so-far");
  expect(await Promise.all([verify(KEY), verify(KEY), verify(KEY)])).toEqual(["good", "good", "good"]);
  expect(await verify("unknown-so-far")).toBe("good");
  expect(await verify(KEY)).toBe("good");
  expect(asked.length).toBe(4);
});

test("the cache has a bound: who was heard of longest ago is looked up again", async () => {
  const { verify, asked, add, pass } = world();
  add(KEY);
  await verify(KEY);
  for (let at = 0; at < 1000; at++) {
    await verify(`garbage-number-${at}`);
    pass(10);
  }
  const before = asked.length;
  await verify(KEY);
  expect(asked.length).toBe(before + 1);
});

test("a typo in a key of ours is refused without a look-up", async () => {
  const { verify, asked } = world();
  const key = form.newKey();
  const typos = [
    `${key.slice(0, -1)}!`,
    key.slice(0, -1),
    key.slice(0, 9) + (key[9] === "y" ? "z" : "y") + key.slice(10),
  ];
  for (const typo of typos) expect(await verify(typo)).toBe("credential_invalid");
  expect(asked).toEqual([]);
});
