import { describe, expect, test } from "vitest";
import type { Held } from "../../../test/support/scripted-registry.ts";
import { admin, BASIC, KEY, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import { NotReplicated } from "./commit.ts";
import type { KeyRecord } from "./key-record.ts";
import type { Registration } from "./key-registration.ts";
import { registerKey } from "./key-registration.ts";
import type { CallOrigin } from "./operation-audit.ts";
import { denied } from "./registry-denial.ts";

const DAY = 86_400;
const anonymous: CallOrigin = { caller: { kind: "anonymous", address: "192.0.2.1" } };
const LONG = "a".repeat(22);

const registered = async (more: Partial<Registration>, origin = admin) => {
  const scripted = scriptedRegistry();
  const result = await registerKey(scripted.registry, { role: "contributor", name: "n", ...more }, origin);
  return { ...scripted, result, change: scripted.asked[0], put: scripted.asked[0]?.put[0] };
};

describe("a registered key", () => {
  test("has what the caller may set, an id and a family of its own, and no more", async () => {
    const given = {
      name: "x",
      metadata: "{}",
      owner: "acme",
      plan: "team",
      ttlSeconds: 60,
      nets: ["192.0.2.0/24"],
      certificate: "A".repeat(43),
      scopes: ["chat:read"],
    };
    const { result, put, change } = await registered(given);
    const record = {
      ...given,
      keyId: `contributor_${NOW}_random1`,
      family: "fam_random2",
      familyStartedAt: NOW,
      role: "contributor",
      issuedAt: NOW,
      expiresAt: NOW + 60,
      refreshAfter: NOW + 30,
      selfService: false,
      disabled: false,
      version: 1,
    };
    expect(put).toEqual(record);
    expect(result).toEqual({
      kind: "issued",
      record,
      token: `token of ${record.keyId}`,
      replayed: false,
    });
    expect(change).toMatchObject({
      requires: { living: record },
      audit: [{ event: "key_registered", outcome: "done", keyId: record.keyId }],
    });
    expect(change).not.toHaveProperty("remember");
  });

  test("has no field that the caller left out", async () => {
    const { put } = await registered({});
    for (const field of ["metadata", "owner", "plan", "ttlSeconds", "nets", "certificate"])
      expect(put).not.toHaveProperty(field);
  });

  test("that the caller may not grant is not made", async () => {
    const { result, asked } = await registered({ role: "no such" });
    expect([result, asked]).toEqual([denied("role_unknown"), []]);
  });
});

describe("an Idempotency-Key", () => {
  const remembered = async (more: Partial<Registration>, origin = admin) =>
    (await registered({ idempotencyKey: LONG, ...more }, origin)).change?.remember;

  test("is remembered for a day with the digests of the caller and of the request", async () => {
    const first = await remembered({});
    expect(first).toEqual({
      id: `digest of ${JSON.stringify(["register", "admin ops", LONG])}`,
      bodyDigest: `digest of ${JSON.stringify([
        ["name", "n"],
        ["role", "contributor"],
      ])}`,
      keyId: `contributor_${NOW}_random1`,
      until: NOW + DAY,
    });
    expect(await remembered({ owner: "acme" })).not.toMatchObject({ bodyDigest: first?.bodyDigest });
  });

  test("of an anonymous caller is remembered for ten minutes, for its address, and must be long", async () => {
    expect(await remembered({ role: "basic" }, anonymous)).toMatchObject({
      id: `digest of ${JSON.stringify(["register", "address 192.0.2.1", LONG])}`,
      until: NOW + 600,
    });
    const { result, asked } = await registered({ role: "basic", idempotencyKey: LONG.slice(1) }, anonymous);
    expect([result, asked]).toEqual([denied("idempotency_key_weak"), []]);
    // Only the operator has its credential, so its key may be short.
    expect(await remembered({ idempotencyKey: "k" })).toMatchObject({ until: NOW + DAY });
  });
});

describe("a repeated registration", () => {
  const call = {
    id: `digest of ${JSON.stringify(["register", "admin ops", LONG])}`,
    bodyDigest: `digest of ${JSON.stringify([
      ["name", "n"],
      ["role", "contributor"],
    ])}`,
    keyId: KEY.keyId,
    until: NOW + 9,
  };
  const repeat = async (held: Held, origin = admin, role = "contributor") => {
    const scripted = scriptedRegistry(held);
    const request = { role, name: "n", idempotencyKey: LONG };
    return { ...scripted, result: await registerKey(scripted.registry, request, origin).catch(String) };
  };

  test("returns the same key without writing, if its record is durable", async () => {
    const { result, asked, confirmed, recalled } = await repeat({ call, records: [KEY] });
    expect(result).toEqual({ kind: "issued", record: KEY, token: `token of ${KEY.keyId}`, replayed: true });
    expect([asked, confirmed, recalled]).toEqual([[], [[KEY]], [[call.id, NOW]]]);
    const lost = await repeat({ call, records: [KEY], durable: false });
    expect(lost.result).toBe(String(new NotReplicated()));
  });

  test("with another request is denied", async () => {
    const { result } = await repeat({ call: { ...call, bodyDigest: "other" }, records: [KEY] });
    expect(result).toEqual(denied("idempotency_key_reused"));
  });

  test("whose record the store has lost is denied", async () => {
    const { result, asked } = await repeat({ call });
    expect([result, asked]).toEqual([denied("key_unknown"), []]);
  });

  const granter: CallOrigin = {
    caller: {
      kind: "key",
      id: "ops",
      role: { ...BASIC, mayGrant: ["contributor"] },
      scopes: ["keys:write", ...BASIC.scopes],
    },
  };
  const byKey = { ...call, id: `digest of ${JSON.stringify(["register", "key ops", LONG])}` };

  test("is denied if the caller could no longer grant the earlier key", async () => {
    const repeated = (record: KeyRecord) => repeat({ call: byKey, records: [record] }, granter);
    expect((await repeated(KEY)).result).toMatchObject({ kind: "issued", replayed: true });
    for (const record of [
      { ...KEY, role: "no such" },
      { ...KEY, role: "node_operator" },
      { ...KEY, scopes: ["other"] },
    ])
      expect((await repeated(record)).result).toEqual(denied("grant_refused"));
  });

  test("of a self-service key needs no grant", async () => {
    const own = { ...KEY, role: "basic", selfService: true };
    const bodyDigest = `digest of ${JSON.stringify([
      ["name", "n"],
      ["role", "basic"],
    ])}`;
    const { result } = await repeat({ call: { ...call, bodyDigest }, records: [own] }, anonymous, "basic");
    expect(result).toMatchObject({ kind: "issued", replayed: true });
  });
});
