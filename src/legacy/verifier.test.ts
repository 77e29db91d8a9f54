import { expect, test } from "vitest";
import type { Verification } from "../core/decision/ports.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { NEVER } from "../core/keys/key-record.ts";
import { createLegacyForm } from "./hasher.ts";
import { createLegacyVerifier } from "./verifier.ts";

const NOW_MS = 1_800_000_000_000;
const form = createLegacyForm(["current-secret-current-secret-123"], () => "x".repeat(22));
const KEY = "another-systems-key";

function recordOf(key: string): KeyRecord {
  return {
    keyId:
      key === KEY
        ? "basic_1_v1abcdefghijklmnopqrstuv"
        : `basic_1_v1${form
            .storedForm(key)
            .hash.replace(/[^A-Za-z0-9]/g, "x")
            .slice(0, 22)}`,
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
    legacy: form.storedForm(key),
    version: 1,
  };
}

/** A verifier with a store that records its look-ups. */
function world(options: { readonly down?: () => boolean; readonly until?: Promise<void> } = {}) {
  const asked: string[] = [];
  let nowMs = 0;
  const records = new Map<string, KeyRecord>();
  const verifier = createLegacyVerifier({
    form,
    async find(hashes) {
      asked.push(hashes[0] ?? "");
      await options.until;
      if (options.down?.()) throw new Error("the store is down");
      return hashes.map((hash) => records.get(hash)).find((record) => record !== undefined);
    },
    onOutdatedHash: () => undefined,
    monotonicMs: () => nowMs,
    waitMs: 20,
    cacheSize: 1000,
  });
  return {
    asked,
    records,
    /** Without a client address the look-up is an operator's, on behalf of others. */
    verify: async (key: string, client?: string) => {
      const result: Verification = await verifier.verify(
        key,
        NOW_MS,
        client === undefined ? client : () => client,
      );
      return result.ok ? "valid" : result.reason;
    },
    verifier,
    add: (key: string) => records.set(form.storedForm(key).hash, recordOf(key)),
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

test("a cached key costs no store access, and ten concurrent requests for one key cost one", async () => {
  const { verify, asked, add } = world();
  add(KEY);
  expect(await Promise.all(Array.from({ length: 10 }, () => verify(KEY)))).toEqual(
    Array.from({ length: 10 }, () => "valid"),
  );
  expect(await verify(KEY)).toBe("valid");
  expect(asked.length).toBe(1);
});

test("an unknown key is remembered for a while, or until new keys are announced", async () => {
  const { verify, asked, add, pass, verifier } = world();
  expect([await verify(KEY), await verify(KEY), asked.length]).toEqual([
    "credential_invalid",
    "credential_invalid",
    1,
  ]);
  add(KEY);
  expect(await verify(KEY)).toBe("credential_invalid");
  verifier.forget([]);
  expect(await verify(KEY)).toBe("valid");
  expect(await verify("another-unknown-key")).toBe("credential_invalid");
  pass(10_001);
  await verify("another-unknown-key");
  expect(asked.length).toBe(4);
});

const many = (count: number, make: (at: number) => Promise<string>) =>
  Promise.all(Array.from({ length: count }, (_, at) => make(at)));
const counted = (answers: readonly string[], wanted: string) =>
  answers.filter((answer) => answer === wanted).length;

test("invalid keys reach the store at a bounded rate, and known keys are served meanwhile", async () => {
  const { verify, asked, add, pass } = world();
  add(KEY);
  await verify(KEY);
  const answers = await many(2000, (at) => verify(`garbage-number-${at}`, "192.0.2.1"));
  expect(counted(answers, "credential_unavailable")).toBe(1600);
  expect(asked.length).toBe(401);
  expect(await verify(KEY, "192.0.2.1")).toBe("valid");
  pass(1000);
  expect(await verify("garbage-number-later", "192.0.2.1")).toBe("credential_invalid");
});

test.each([
  ["one address", () => "192.0.2.1"],
  ["the addresses of one /64", (at: number) => `2001:db8::${(at + 1).toString(16)}`],
  ["each a /64 of its own", (at: number) => `2001:db8:0:${(at + 1).toString(16)}::1`],
  ["a hundred networks", (at: number) => `198.51.100.${at % 100}`],
  ["hundreds of /48s, five keys from each", (at: number) => `2001:db8:${(at % 400).toString(16)}::1`],
])("invalid keys from %s do not stop keys from other addresses from being served", async (_what, address) => {
  const { verify, asked, add, pass } = world();
  const clients = Array.from({ length: 100 }, (_, at) => ({
    key: `honest-key-${at}`,
    from: `203.0.113.${at}`,
  }));
  for (const { key } of clients) add(key);
  for (const { key, from } of clients) {
    await many(60, (at) => verify(`invalid ${from} ${at}`, address(at)));
    expect(await verify(key, from)).toBe("valid");
    pass(10);
  }
  // The shared budget, its refill during that second, and the valid keys.
  expect(asked.length).toBeLessThanOrEqual(2 * (1000 + 1000) + clients.length);
});

test("an address with one stale key is still served while other addresses guess", async () => {
  const { verify, add, pass } = world();
  const honest = "203.0.113.1";
  for (let second = 0; second < 25; second++) {
    await many(1200, (at) => verify(`invalid ${second} ${at}`, `198.51.100.${at % 6}`));
    await verify("a-stale-key", honest);
    add(`honest-key-${second}`);
    expect(await verify(`honest-key-${second}`, honest)).toBe("valid");
    pass(1000);
  }
});

test("valid keys cost no budget: any number of them is looked up from one address", async () => {
  const { verify, add } = world();
  for (let at = 0; at < 500; at++) {
    add(`honest-key-${at}`);
    expect(await verify(`honest-key-${at}`, "192.0.2.1")).toBe("valid");
  }
});

test("look-ups in a failing store are bounded, and no address is charged for them", async () => {
  let down = true;
  const { verify, asked, add } = world({ down: () => down });
  add(KEY);
  const answers = await many(5000, (at) => verify(`garbage-number-${at}`, `10.0.${at >> 8}.${at & 255}`));
  expect([new Set(answers), asked.length]).toEqual([new Set(["credential_unavailable"]), 2000]);
  const { verify: later, pass, add: put } = world({ down: () => down });
  put(KEY);
  for (let at = 0; at < 200; at++) await later(`garbage-number-${at}`, "192.0.2.1");
  down = false;
  pass(100);
  expect(await later(KEY, "192.0.2.1")).toBe("valid");
});

test("look-ups without a client address are not limited as one client", async () => {
  const { verify } = world();
  const answers = await many(500, (at) => verify(`garbage-number-${at}`));
  expect(counted(answers, "credential_unavailable")).toBe(0);
});

test("an unavailable store denies with credential_unavailable, not credential_invalid", async () => {
  let down = true;
  const { verify, add } = world({ down: () => down });
  add(KEY);
  expect(await verify(KEY)).toBe("credential_unavailable");
  down = false;
  expect(await verify(KEY)).toBe("valid");
});

test("a key that changes during its look-up is not cached", async () => {
  const { verify, asked, add, verifier } = world();
  add(KEY);
  const looking = verify(KEY);
  verifier.forget([recordOf(KEY).keyId]);
  await looking;
  await verify(KEY);
  expect(asked.length).toBe(2);
});

test("a changed key is looked up again, and no other key is", async () => {
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

test("after a gap in the feed, known keys are served from the cache while they are looked up again", async () => {
  const { verify, asked, add, verifier, records } = world();
  add(KEY);
  await verify(KEY);
  expect(await verify("unknown-so-far")).toBe("credential_invalid");
  verifier.revalidateAll();
  // A key that is missing from the store stays valid for those who have it cached.
  records.clear();
  add("unknown-so-far");
  expect(await Promise.all([verify(KEY), verify(KEY), verify(KEY)])).toEqual(["valid", "valid", "valid"]);
  expect(await verify("unknown-so-far")).toBe("valid");
  expect(await verify(KEY)).toBe("valid");
  expect(asked.length).toBe(4);
});

test("the cache is bounded: valid keys evict the least recently used key, and invalid keys evict none", async () => {
  const { verify, asked, add, pass } = world();
  add(KEY);
  await verify(KEY);
  for (let at = 0; at < 2000; at++) {
    await verify(`garbage-number-${at}`);
    pass(10);
  }
  await verify(KEY);
  expect(asked.length).toBe(2001);
  for (let at = 0; at < 2000; at++) {
    add(`valid-number-${at}`);
    await verify(`valid-number-${at}`);
  }
  const before = asked.length;
  await verify(KEY);
  expect(asked.length).toBe(before + 1);
});

test("a mistyped key of ours is denied without a look-up", async () => {
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

test("no Check waits for a store that hangs, and its late response serves later Checks", async () => {
  const { promise: until, resolve: goOn } = Promise.withResolvers<void>();
  const { add, verify, verifier, asked } = world({ until });
  add(KEY);
  expect(await Promise.all([verify(KEY), verify(KEY)])).toEqual([
    "credential_unavailable",
    "credential_unavailable",
  ]);
  expect(await verify(KEY)).toBe("credential_unavailable");
  expect(asked).toHaveLength(1);
  goOn();
  await expect.poll(() => verifier.needsStore?.(KEY)).toBe(false);
  expect(await verify(KEY)).toBe("valid");
  expect(asked).toHaveLength(1);
});
