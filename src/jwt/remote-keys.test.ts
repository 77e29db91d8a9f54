import { beforeEach, describe, expect, test } from "vitest";
import type { TestJwk } from "../../test/support/jwk.ts";
import { jwkSet, newJwk, publicPart } from "../../test/support/jwk.ts";
import { createRemoteKeys } from "./remote-keys.ts";

const START_MS = 1000;
const FRESH_MS = 300_000;
const COOLDOWN_MS = 10_000;
const MAX_AGE_MS = 3_600_000;
const one = newJwk("ES256", "one");

let nowMs: number;
let published: string;
let fetches: number;
/** Ends the fetches that wait; undefined: fetches end at once. */
let gate: Promise<void> | undefined;
let outcomes: (string | undefined)[];

beforeEach(() => {
  [nowMs, fetches, gate, outcomes] = [START_MS, 0, undefined, []];
  publish(one);
});

function publish(...keys: readonly TestJwk[]): void {
  published = jwkSet(...keys.map(publicPart));
}

const open = (waitMs = 1) =>
  createRemoteKeys({
    async fetchText() {
      fetches++;
      await gate;
      return published;
    },
    monotonicMs: () => nowMs,
    waitMs,
    onFetch: (error) => outcomes.push(error?.message),
  });

const settle = () => new Promise(setImmediate);

describe("a set of keys", () => {
  test("is fresh for five minutes, and a known key of it costs no fetch", async () => {
    const keys = open();
    expect(keys.generation()).toBeUndefined();
    expect(await keys.find("one", "ES256")).toMatchObject({ kind: "found", generation: 1 });
    for (const afterMs of [COOLDOWN_MS, FRESH_MS]) {
      nowMs = START_MS + afterMs;
      expect(keys.generation()).toBe(1);
      expect(await keys.find("one", "ES256")).toMatchObject({ kind: "found" });
    }
    expect(fetches).toBe(1);
    nowMs++;
    expect(keys.generation()).toBeUndefined();
    expect(await keys.find("one", "ES256")).toMatchObject({ kind: "found" });
    expect(fetches).toBe(2);
  });

  test("that has not changed keeps its generation and its keys, so that cached tokens stay known", async () => {
    const keys = open();
    const first = await keys.find("one", "ES256");
    nowMs += FRESH_MS + 1;
    expect(await keys.find("one", "ES256")).toBe(first);
    expect(keys.generation()).toBe(1);
    publish(newJwk("ES256", "one"));
    nowMs += FRESH_MS + 1;
    expect(await keys.find("one", "ES256")).not.toEqual(first);
    expect(keys.generation()).toBe(2);
  });

  test("is fetched once at a time, even beyond the cooldown", async () => {
    const wait = Promise.withResolvers<void>();
    gate = wait.promise;
    const keys = open();
    keys.prefetch();
    nowMs += COOLDOWN_MS;
    keys.prefetch();
    expect(fetches).toBe(1);
    wait.resolve();
    await settle();
    expect(outcomes).toEqual([undefined]);
    keys.prefetch();
    expect(fetches).toBe(2);
  });

  test("leaves an unknown kid open while it is fetched, because it may contain the key", async () => {
    const keys = open();
    await keys.find("one", "ES256");
    expect(await keys.find("new", "ES256")).toEqual({ kind: "none", cause: "key_unknown" });
    const wait = Promise.withResolvers<void>();
    [gate, nowMs] = [wait.promise, nowMs + COOLDOWN_MS];
    expect(await keys.find("new", "ES256")).toEqual({ kind: "unavailable" });
    wait.resolve();
    await settle();
    expect(await keys.find("new", "ES256")).toEqual({ kind: "none", cause: "key_unknown" });
  });

  test("is used for an hour while its issuer does not respond, which leaves unknown kids open", async () => {
    const keys = open();
    await keys.find("one", "ES256");
    published = "no JSON";
    nowMs = START_MS + MAX_AGE_MS;
    expect(await keys.find("one", "ES256")).toMatchObject({ kind: "found" });
    expect(await keys.find("new", "ES256")).toEqual({ kind: "unavailable" });
    expect(outcomes).toEqual([undefined, expect.any(String)]);
    nowMs++;
    expect(await keys.find("one", "ES256")).toEqual({ kind: "unavailable" });
  });

  test("is fetched again for a kid without a suitable key, at most every ten seconds", async () => {
    const keys = open();
    expect(await keys.find("one", "ES384")).toEqual({ kind: "none", cause: "key_unsuitable" });
    publish(one, { ...newJwk("ES256", "two"), use: "sig" });
    nowMs = START_MS + COOLDOWN_MS - 1;
    expect(await keys.find("one", "ES384")).toEqual({ kind: "none", cause: "key_unsuitable" });
    expect(await keys.find("two", "ES256")).toEqual({ kind: "none", cause: "key_unknown" });
    expect(fetches).toBe(1);
    nowMs++;
    expect(await keys.find("one", "ES384")).toEqual({ kind: "none", cause: "key_unsuitable" });
    expect(fetches).toBe(2);
    expect(await keys.find("two", "ES256")).toMatchObject({ kind: "found" });
  });

  test("reports each fetch, and a thrown text as its own message", async () => {
    const keys = createRemoteKeys({
      fetchText: () => Promise.reject("no text"),
      monotonicMs: () => nowMs,
      waitMs: 1,
      onFetch: (error) => outcomes.push(error?.message),
    });
    expect(await keys.find("one", "ES256")).toEqual({ kind: "unavailable" });
    expect(outcomes).toEqual(["no text"]);
  });
});

describe("a key", () => {
  test("without a kid, or without a kty, is ignored", async () => {
    const { kid: _, ...unnamed } = publicPart(one);
    published = JSON.stringify({ keys: [unnamed, { kid: "two" }, "text", publicPart(one)] });
    const keys = open();
    expect(await keys.find("undefined", "ES256")).toEqual({ kind: "none", cause: "key_unknown" });
    expect(await keys.find("two", "ES256")).toEqual({ kind: "none", cause: "key_unknown" });
    expect(await keys.find("one", "ES256")).toMatchObject({ kind: "found" });
  });

  test("of another type, or whose members are no key, is unsuitable", async () => {
    publish(one, { ...newJwk("ES256", "bad"), x: "AAAA" });
    const keys = open();
    expect(await keys.find("one", "ES384")).toEqual({ kind: "none", cause: "key_unsuitable" });
    expect(await keys.find("bad", "ES256")).toEqual({ kind: "none", cause: "key_unsuitable" });
  });

  test("is imported for each algorithm of its tokens by itself", async () => {
    const { alg: _, ...rsa } = newJwk("RS256", "rsa");
    publish({ ...rsa, kid: "rsa" });
    const keys = open();
    for (const [alg, name] of [
      ["RS256", "RSASSA-PKCS1-v1_5"],
      ["PS256", "RSA-PSS"],
    ] as const)
      expect(await keys.find("rsa", alg)).toMatchObject({ keys: [{ algorithm: { name } }] });
  });

  test("for encryption, or for another algorithm, is not tried", async () => {
    publish({ ...one, use: "enc" }, { ...newJwk("ES256", "one"), alg: "ES384" }, one);
    const found = await open().find("one", "ES256");
    expect(found.kind === "found" && found.keys.length).toBe(1);
  });

  test("is tried with at most three others of its kid", async () => {
    publish(...Array.from({ length: 5 }, () => newJwk("ES256", "same")));
    const found = await open().find("same", "ES256");
    expect(found).toMatchObject({ kind: "found" });
    expect(found.kind === "found" && found.keys.length).toBe(4);
  });
});
