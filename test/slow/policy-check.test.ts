import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import type { DirectChecks } from "../support/direct-checks.ts";
import { connectChecks } from "../support/direct-checks.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runHere } from "../support/program.ts";
import { replaceFile } from "../support/replace-file.ts";

const SECRETS = {
  JWT_SECRET: newSecret(),
  JWT_SECRET_PREVIOUS: newSecret(),
  KEY_HASH_SECRET: newSecret(),
  AUDIT_KEY: newSecret(),
  ADMIN_TOKEN: newSecret(),
};
const policyWith = (route: string) => `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, self_service: true }
  viewer: { scopes: [system:read], ttl: 1d, refresh_window: 1h }
  reader: { scopes: [keys:read], ttl: 1d, refresh_window: 1h }
routes: [{ path: /one, scopes: [a] }, ${route}]
audit: { requests: all }
`;
const POLICY = policyWith("{ path: /two, scopes: [a] }");
const WITHIN = { timeout: 60_000, interval: 50 };

let latchkey: TestedLatchkey;
let admin: LatchkeyClient;
let checks: DirectChecks;
let key: string;

beforeAll(async () => {
  latchkey = await startLatchkey({ ...SECRETS, AUDIT_FILE: "logs/api.log" }, { policy: POLICY });
  admin = clientOf(SECRETS.ADMIN_TOKEN);
  checks = await connectChecks(latchkey.grpc);
  key = (await admin.register({ name: "n", key_type: "basic" })).api_key;
});

afterAll(async () => {
  checks?.close();
  await latchkey?.stop();
});

function clientOf(token: string): LatchkeyClient {
  return createClient({ url: `http://${latchkey.operator}`, token });
}

const clientWithRole = async (role: string) =>
  clientOf((await admin.register({ name: role, key_type: role })).api_key);

describe("a policy that is not in force", () => {
  test("is checked and tested, and nothing of it becomes active", async () => {
    const before = await admin.policy.show();
    const text = policyWith("{ path: /two, public: true }");
    const cases = `
keys: { one: { role: basic } }
cases:
  - { name: everyone may, request: GET /two, expect: allowed }
  - { name: nobody may, request: GET /two, key: one, expect: scope_missing }
`;
    const result = await admin.policy.check({ text, cases });
    expect(result).toMatchObject({
      ok: true,
      summary: { roles: 3, routes: 2, active: false },
      cases: { passed: 1, failed: 1, problems: [] },
      replay: null,
    });
    expect(result.cases?.results[0]).toMatchObject({ name: "nobody may", line: 5, reason: "allowed" });
    expect(result.cases?.results[0]?.steps.length).toBeGreaterThan(0);
    expect(await checks.check("/two")).toBe("credential_missing");
    expect((await admin.policy.show()).hash).toBe(before.hash);
    expect((await admin.policy.check({ text: POLICY })).summary?.active).toBe(true);
  });

  test("with problems gets their lines", async () => {
    const { ok, problems } = await admin.policy.check({ text: policyWith("{ path: /two, scopes: [b] }") });
    expect(ok).toBe(false);
    expect(problems).toEqual([
      { line: 6, detail: expect.stringContaining('routes[1].scopes[0]: unknown scope "b"') },
    ]);
  });

  test("decides the past requests of the audit files again", async () => {
    for (const path of ["/one", "/two", "/two"]) expect(await checks.check(path, key)).toBe("allowed");
    const text = policyWith("{ path: /two, scopes: [a], methods: [POST] }");
    await expect
      .poll(async () => (await admin.policy.check({ text, replay: true })).replay, WITHIN)
      .toMatchObject({
        changed: 2,
        changes: [{ was: "allowed", would_be: "route_unknown", role: "basic", requests: 2 }],
      });
  });

  test("needs system:read, and its replay audit:read too", async () => {
    const [viewer, reader] = await Promise.all([clientWithRole("viewer"), clientWithRole("reader")]);
    expect((await viewer.policy.check({ text: POLICY })).ok).toBe(true);
    const denial = { status: 403, reason: "operator-scope-missing" };
    await expect(viewer.policy.check({ text: POLICY, replay: true })).rejects.toMatchObject(denial);
    await expect(reader.policy.check({ text: POLICY })).rejects.toMatchObject(denial);
    for (const denied of [reader.settings(), reader.signingKeys()])
      await expect(denied).rejects.toMatchObject(denial);
  });

  test("is too large beyond 2 MiB, and too long beyond a million characters", async () => {
    await expect(admin.policy.check({ text: "x".repeat(2 * 1024 * 1024) })).rejects.toMatchObject({
      status: 413,
    });
    await expect(admin.policy.check({ text: "#".repeat(1_048_577) })).rejects.toMatchObject({ status: 400 });
  });

  test("can be tried by the command, which fails for a case that fails", async () => {
    const env = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: SECRETS.ADMIN_TOKEN };
    const file = join(latchkey.cwd, "other.yaml");
    const caseFile = join(latchkey.cwd, "other.cases.yaml");
    await writeFile(file, POLICY);
    await writeFile(caseFile, "cases: [{ name: open, request: GET /one, expect: allowed }]");
    const run = await runHere(["policy", "try", file, "--replay"], env);
    expect(run.stdout).toContain("which is in force");
    expect(run.stdout).toMatch(/\d+ requests: \d+ decided as before, 0 differently/);
    expect(run.status).toBe(0);
    const failed = await runHere(["policy", "try", file, "--cases", caseFile], env);
    expect(failed.stdout).toContain("open: decided: credential_missing, not allowed");
    expect(failed.status).toBe(1);
  });
});

test("the policy shows what loaded it, and why a file was rejected until it is corrected", async () => {
  expect(await admin.policy.show()).toMatchObject({
    loaded_by: "start",
    loaded_by_actor: null,
    rejected: null,
  });
  await replacePolicy("routes: [{ path: /one, scopes: [b] }]");
  await expect
    .poll(async () => (await admin.policy.show()).rejected?.problems, WITHIN)
    .toEqual([expect.stringContaining('unknown scope "b"')]);
  await replacePolicy(POLICY);
  await expect.poll(async () => (await admin.policy.show()).rejected, WITHIN).toBeNull();
  expect((await admin.policy.show()).loaded_by).toBe("start");
  await replacePolicy(policyWith("{ path: /three, scopes: [a] }"));
  await expect.poll(async () => (await admin.policy.show()).loaded_by, WITHIN).toBe("file");
});

const replacePolicy = (text: string) => replaceFile(join(latchkey.cwd, "latchkey.yaml"), text);

test("the settings have every source and no secret", async () => {
  const { settings } = await admin.settings();
  const sourceOf = (wanted: string) => settings.find(({ name }) => name === wanted)?.source;
  expect(sourceOf("JWT_SECRET")).toBe("environment");
  expect(sourceOf("STORE")).toBe("derived");
  const response = await fetch(`http://${latchkey.operator}/api/admin/settings`, {
    headers: { authorization: `Bearer ${SECRETS.ADMIN_TOKEN}` },
  });
  const text = await response.text();
  for (const secret of Object.values(SECRETS)) expect(text).not.toContain(secret);
  const env = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: SECRETS.ADMIN_TOKEN };
  const { stdout } = await runHere(["settings", "--changed"], env);
  expect(stdout).toMatch(/^JWT_SECRET +\(secret\) +environment$/m);
  expect(stdout).not.toContain("LOG_LEVEL");
});

test("the signing keys show their state and the next step", async () => {
  const { keys, next, instances } = await admin.signingKeys();
  expect(keys.map(({ origin }) => origin)).toEqual(["JWT_SECRET", "JWT_SECRET_PREVIOUS"]);
  expect(keys[0]).toMatchObject({ state: "signs", alg: "HS256", accepted_by: 1, signed_by: 1 });
  expect(keys[1]).toMatchObject({ state: "verifies", accepted_by: 1, signed_by: 0 });
  expect([instances, next]).toEqual([1, { step: "add", kid: null, waits_for: null, not_before: null }]);
});
