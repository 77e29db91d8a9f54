import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { LatchkeyProblem } from "../../src/client/problem.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import { runLatchkey } from "../support/program.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ENV = {
  JWT_SECRET: newSecret(),
  ADMIN_TOKEN: newSecret(),
  DRAIN_SECONDS: "0",
  TTL_NODE_OPERATOR: "10",
};

let latchkey: TestedLatchkey;
let upstream: Upstream;
let envoy: EnvoyProcess;
let admin: LatchkeyClient;

beforeAll(async () => {
  [latchkey, upstream] = await Promise.all([
    startLatchkey({ ...ENV, GRPC_LISTEN: await newSocket() }),
    startUpstream(),
  ]);
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
  admin = createClient({ url: `http://${latchkey.operator}`, token: ENV.ADMIN_TOKEN });
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
});

/** The result of a Check for a key: the reason of its denial, or "allowed". */
async function verdict(key: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${envoy.port}/v1/chat/x`, {
    headers: { authorization: `Bearer ${key}` },
  });
  return (
    response.headers.get("x-latchkey-reason") ??
    (response.status === 200 ? "allowed" : `status ${response.status}`)
  );
}

/** The reason in the problem that a call returns. */
async function problemOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof LatchkeyProblem ? error.reason : `no problem: ${String(error)}`;
}

const contributor = { name: "life", key_type: "contributor" } as const;

describe("the end of a key takes effect in the next Check", () => {
  test("disabled, enabled again, and revoked for good", async () => {
    const key = await admin.register(contributor);
    expect(await verdict(key.api_key)).toBe("allowed");
    expect(await admin.keys.change(key.key_id, { disabled: true })).toMatchObject({ status: "disabled" });
    expect(await verdict(key.api_key)).toBe("key_disabled");
    await admin.keys.change(key.key_id, { disabled: false });
    expect(await verdict(key.api_key)).toBe("allowed");
    await admin.keys.revoke(key.key_id);
    await admin.keys.revoke(key.key_id);
    expect(await verdict(key.api_key)).toBe("key_revoked");
    expect(await problemOf(admin.keys.change(key.key_id, { disabled: false }))).toBe("key-ended");
    expect(await admin.keys.show(key.key_id)).toMatchObject({ status: "revoked" });
  });

  test("the holder of a key can revoke its whole family with it, repeatedly", async () => {
    const key = await admin.register(contributor);
    const successor = await admin.keys.rotate(key.key_id);
    await createClient({ url: `http://${latchkey.http}` }).revoke(key.api_key);
    await admin.revoke(key.api_key);
    expect(await verdict(key.api_key)).toBe("key_revoked");
    expect(await verdict(successor.api_key)).toBe("key_revoked");
    expect(await problemOf(admin.refresh(successor.api_key))).toBe("key-revoked");
    expect(await problemOf(admin.revoke(`${key.api_key.slice(0, -8)}AAAAAAAA`))).toBe("credential-invalid");
  });

  test("the keys of an owner are revoked together, and a key issued afterwards is valid at once", async () => {
    const keys = await Promise.all([1, 2].map(() => admin.register({ ...contributor, owner: "acme" })));
    const other = await admin.register({ ...contributor, owner: "acme2" });
    await admin.keys.revokeOwner("acme");
    const next = await admin.register({ ...contributor, owner: "acme" });
    expect(await Promise.all(keys.map((key) => verdict(key.api_key)))).toEqual([
      "key_revoked",
      "key_revoked",
    ]);
    expect(await verdict(other.api_key)).toBe("allowed");
    expect(await verdict(next.api_key)).toBe("allowed");
  });

  test("for a key without an owner, upstream gets the family as the owner, and this owner can be revoked", async () => {
    const legacyKey = `imported-${randomUUID()}`;
    const line = { api_key: legacyKey, name: "v1", role: "contributor", created_at: "2020-01-01T00:00:00Z" };
    await admin.keys.import(JSON.stringify(line));
    const own = await admin.register(contributor);
    const other = await admin.register(contributor);
    for (const key of [own.api_key, legacyKey]) {
      expect(await verdict(key)).toBe("allowed");
      const headers = new Map(upstream.requests.at(-1)?.headers);
      const [owner = "", keyId] = [headers.get("x-latchkey-owner"), headers.get("x-latchkey-key-id")];
      expect(owner).toMatch(/^fam_/);
      expect((await admin.keys.list({ owner })).keys.map(({ key_id }) => key_id)).toEqual([keyId]);
      await admin.keys.revokeOwner(owner);
      expect(await verdict(key)).toBe("key_revoked");
      expect(await problemOf(admin.validate(key))).toBe("key-revoked");
      const { events } = await admin.audit({ owner });
      expect(events.map(({ event }) => event)).toEqual([
        ...(key === legacyKey ? [] : ["key_registered"]),
        "owner_revoked",
      ]);
    }
    expect(await verdict(other.api_key)).toBe("allowed");
  });

  test("revoke-issued-before accepts as owner a family that has no owner", async () => {
    const key = await admin.register(contributor);
    const { family } = await admin.keys.show(key.key_id);
    await admin.keys.revokeIssuedBefore({ before: new Date().toISOString(), owner: family });
    expect(await verdict(key.api_key)).toBe("key_revoked");
  });

  test("revoke-issued-before applies to a role, an owner or all keys, from the command line and the API", async () => {
    const cli = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ENV.ADMIN_TOKEN };
    const cutOff = (...args: readonly string[]) =>
      runLatchkey(["keys", "revoke", "--issued-before", new Date().toISOString(), ...args], cli);
    const issue = (role: string, owner: string) => admin.register({ name: "n", key_type: role, owner });
    const verdicts = () => Promise.all(keys.map((key) => verdict(key.api_key)));
    const keys = await Promise.all([
      issue("contributor", "north"),
      issue("basic", "south"),
      issue("basic", "north"),
    ]);
    expect(cutOff("--role", "contributor")).toMatchObject({ status: 0 });
    expect(await verdicts()).toEqual(["key_revoked", "allowed", "allowed"]);
    expect(cutOff("--owner", "south")).toMatchObject({ status: 0 });
    expect(await verdicts()).toEqual(["key_revoked", "key_revoked", "allowed"]);
    expect(cutOff()).toMatchObject({ status: 0 });
    expect(await verdicts()).toEqual(["key_revoked", "key_revoked", "key_revoked"]);
    // New keys are valid at once, even in the same second.
    expect(await verdict((await issue("contributor", "north")).api_key)).toBe("allowed");
    expect(await verdict((await issue("basic", "south")).api_key)).toBe("allowed");

    const before = new Date().toISOString();
    for (const body of [
      { before: "yesterday" },
      { before: new Date(Date.now() + 5000).toISOString() },
      { before, role: "contributer" },
      { before, owner: "no owner" },
      { before, role: "basic", owner: "south" },
    ])
      expect(await problemOf(admin.keys.revokeIssuedBefore(body))).toBe("request-invalid");
    expect(cutOff("--role", "basic", "--owner", "south")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("give a role or an owner, not both"),
    });
    expect(cutOff("--role", "contributer").stderr).toContain("is not a role of the policy");
    expect(cutOff("contributor_1_abcdefghijklmnopqrstuv").status).toBe(2);
    expect(runLatchkey(["keys", "revoke", "--role", "basic"], cli).status).toBe(2);
    const reader = await admin.register({ name: "n", key_type: "admin", scopes: ["keys:write"] });
    const weaker = createClient({ url: `http://${latchkey.operator}`, token: reader.api_key });
    expect(await problemOf(weaker.keys.revokeIssuedBefore({ before }))).toBe("operator-scope-missing");
    const anonymous = createClient({ url: `http://${latchkey.operator}` });
    expect(await problemOf(anonymous.keys.revokeIssuedBefore({ before }))).toBe("operator-required");
  });

  test("an overlap of 0 seconds supersedes the old key at once", async () => {
    const key = await admin.register(contributor);
    const next = await admin.keys.rotate(key.key_id, { overlap: 0 });
    expect(await verdict(key.api_key)).toBe("key_superseded");
    expect(await verdict(next.api_key)).toBe("allowed");
    expect(await admin.validate(next.api_key)).toMatchObject({ valid: true, key_id: next.key_id });
    expect(await problemOf(admin.validate(key.api_key))).toBe("key-superseded");
  });

  test("revocations and disabled keys survive a restart", async () => {
    const [disabled, revoked, family] = await Promise.all([1, 2, 3].map(() => admin.register(contributor)));
    if (!disabled || !revoked || !family) throw new Error("three keys");
    await admin.keys.change(disabled.key_id, { disabled: true });
    await admin.keys.revoke(revoked.key_id);
    await admin.revoke(family.api_key);
    const { dataDir: DATA_DIR, grpc: GRPC_LISTEN } = latchkey;
    await latchkey.stop();
    latchkey = await startLatchkey({ ...ENV, DATA_DIR, GRPC_LISTEN });
    admin = createClient({ url: `http://${latchkey.operator}`, token: ENV.ADMIN_TOKEN });
    await expect.poll(() => verdict(disabled.api_key)).toBe("key_disabled");
    expect(await verdict(revoked.api_key)).toBe("key_revoked");
    expect(await verdict(family.api_key)).toBe("key_revoked");
  });
});

describe("refresh", () => {
  test("is denied before refresh_after, and the problem contains that time", async () => {
    const key = await admin.register(contributor);
    const error = await admin.refresh(key.api_key).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LatchkeyProblem);
    expect(error).toMatchObject({
      status: 409,
      reason: "refresh-too-early",
      members: { refresh_after: key.refresh_after },
    });
  });

  test("issues one successor: the same one for the same Idempotency-Key, and a denial for any other", async () => {
    const key = await admin.register({ name: "short", key_type: "node_operator", owner: "acme3" });
    await admin.validate(key.api_key);
    await expect
      .poll(() => Date.now() / 1000, { interval: 50 })
      .toBeGreaterThanOrEqual(Date.parse(key.refresh_after) / 1000);
    const idempotencyKey = randomUUID();
    const results = await Promise.all([1, 2, 3, 4].map(() => admin.refresh(key.api_key, { idempotencyKey })));
    expect(new Set(results.map((result) => result.api_key)).size).toBe(1);
    expect(await problemOf(admin.refresh(key.api_key, { idempotencyKey: randomUUID() }))).toBe(
      "already-refreshed",
    );
    expect(await problemOf(admin.refresh(key.api_key))).toBe("already-refreshed");
    const [next] = results;
    if (next === undefined) throw new Error("no successor");
    expect(await verdict(next.api_key)).toBe("allowed");
    expect(await verdict(key.api_key)).toBe("allowed");
    const [before, after] = await Promise.all([admin.keys.show(key.key_id), admin.keys.show(next.key_id)]);
    expect(before).toMatchObject({ status: "superseded", superseded_by: next.key_id });
    expect(after).toMatchObject({
      family: before.family,
      owner: "acme3",
      scopes: before.scopes,
      name: "short",
    });
  });

  test("an expired key is denied everywhere, and can still be revoked", async () => {
    const key = await admin.register({ name: "brief", key_type: "contributor", ttl: 1 });
    await expect.poll(() => verdict(key.api_key)).toBe("key_expired");
    expect(await problemOf(admin.validate(key.api_key))).toBe("key-expired");
    expect(await problemOf(admin.refresh(key.api_key))).toBe("key-expired");
    await admin.revoke(key.api_key);
    expect(await admin.introspect(key.api_key)).toEqual({ active: false });
  });
});

describe("authorization", () => {
  test("a key with operator scopes manages keys, but cannot grant more than it holds", async () => {
    const reader = await admin.register({ name: "reader", key_type: "admin", scopes: ["keys:read"] });
    const writer = await admin.register({ name: "writer", key_type: "admin", scopes: ["keys:write"] });
    const url = `http://${latchkey.operator}`;
    const asReader = createClient({ url, token: reader.api_key });
    const asWriter = createClient({ url, token: writer.api_key });
    expect((await asReader.keys.list({ limit: 1 })).keys).toHaveLength(1);
    expect(await problemOf(asReader.keys.revoke(reader.key_id))).toBe("operator-scope-missing");
    expect(await problemOf(asWriter.keys.list())).toBe("operator-scope-missing");
    const granted = await asWriter.register({ name: "granted", key_type: "contributor" });
    expect(granted.role).toBe("contributor");
    expect(await problemOf(asWriter.register({ name: "more", key_type: "admin" }))).toBe("grant-refused");
    expect(await problemOf(asWriter.keys.rotate(reader.key_id))).toBe("grant-refused");
    expect(await problemOf(asWriter.keys.change(reader.key_id, { disabled: true }))).toBe("grant-refused");
    await admin.keys.revoke(writer.key_id);
    expect(await problemOf(asWriter.register({ name: "late", key_type: "contributor" }))).toBe("key-revoked");
  });

  test("an unauthenticated caller cannot choose a role or an owner, and cannot make operator calls", async () => {
    const anonymous = createClient({ url: `http://${latchkey.http}` });
    expect(await problemOf(anonymous.register({ name: "a", key_type: "contributor" }))).toBe(
      "operator-required",
    );
    expect(await problemOf(anonymous.register({ name: "a", key_type: "basic", owner: "acme" }))).toBe(
      "operator-required",
    );
    expect(await problemOf(anonymous.keys.list())).toBe("operator-required");
    expect(
      await problemOf(createClient({ url: `http://${latchkey.http}`, token: newSecret() }).keys.list()),
    ).toBe("credential-invalid");
  });

  test("introspection describes a key to an operator (RFC 7662)", async () => {
    const key = await admin.register({ ...contributor, owner: "acme4" });
    expect(await admin.introspect(key.api_key)).toMatchObject({
      active: true,
      jti: key.key_id,
      owner: "acme4",
      iss: "blyan-api",
      aud: "latchkey",
    });
    expect(await admin.introspect("garbage")).toEqual({ active: false });
    expect(
      await problemOf(
        createClient({ url: `http://${latchkey.http}`, token: key.api_key }).introspect(key.api_key),
      ),
    ).toBe("operator-scope-missing");
  });
});

test("register with an Idempotency-Key returns the same key, 422 for another body, 400 for a weak key without a credential", async () => {
  const idempotencyKey = randomUUID();
  const body = { ...contributor, metadata: { app: "x" } };
  const first = await admin.register(body, { idempotencyKey });
  expect(await admin.register(body, { idempotencyKey })).toEqual(first);
  expect(await problemOf(admin.register({ ...body, name: "other" }, { idempotencyKey }))).toBe(
    "idempotency-key-reused",
  );
  const anonymous = createClient({ url: `http://${latchkey.http}` });
  const basic = { name: "a", key_type: "basic" };
  expect(await problemOf(anonymous.register(basic, { idempotencyKey: "short" }))).toBe(
    "idempotency-key-weak",
  );
  const own = await anonymous.register(basic, { idempotencyKey });
  expect(own.key_id).not.toBe(first.key_id);
  expect(await anonymous.register(basic, { idempotencyKey })).toEqual(own);
});

test("a listing contains every key once, with its last use", async () => {
  const key = await admin.register({ ...contributor, name: "listed" });
  await verdict(key.api_key);
  const all: string[] = [];
  for await (const { key_id } of admin.keys.all({ limit: 2, role: "contributor" })) all.push(key_id);
  expect(new Set(all).size).toBe(all.length);
  expect(all).toContain(key.key_id);
  await expect.poll(async () => (await admin.keys.show(key.key_id)).last_used_at).not.toBeNull();
  const listed = await admin.keys.list({
    name_prefix: "liste",
    status: "active",
    expiring_before: "2100-01-01T00:00:00Z",
  });
  expect(listed.keys.map(({ key_id }) => key_id)).toEqual([key.key_id]);
  const anHourAgo = new Date(Date.now() - 3_600_000).toISOString();
  const found = await admin.keys.list({ search: "LISTED", issued_before: "2100-01-01T00:00:00Z" });
  expect(found.keys.map(({ key_id }) => key_id)).toEqual([key.key_id]);
  expect(await admin.keys.total({ search: "listed", unused_since: anHourAgo })).toMatchObject({
    keys: 0,
    live: 0,
  });
  expect(await admin.keys.total({ search: "listed" })).toMatchObject({
    keys: 1,
    live: 1,
    by_status: { active: 1, revoked: 0 },
    last_used_at: expect.any(String),
  });
});

test("no listing and no log line contains a key", async () => {
  const { keys } = await admin.keys.list({ limit: 500 });
  expect(JSON.stringify(keys)).not.toMatch(/eyJ[A-Za-z0-9_-]{20,}\.eyJ/);
  expect(latchkey.output()).not.toMatch(/eyJ[A-Za-z0-9_-]{20,}\.eyJ/);
  expect(latchkey.output()).not.toContain(ENV.ADMIN_TOKEN);
});
