import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";

const ENV = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };

function policyWhere(clerkGrants: string): string {
  return `
roles:
  basic: { scopes: [chat:read], ttl: 1d, refresh_window: 1h }
  free: { scopes: [chat:read], ttl: 1d, refresh_window: 1h, self_service: true }
  contributor: { scopes: [chat:read, data:write], ttl: 1d, refresh_window: 1h }
  idle: { scopes: [], ttl: 1d, refresh_window: 1h }
  clerk: { scopes: [keys:read, keys:write], may_grant: ${clerkGrants}, ttl: 1d, refresh_window: 1h }
  lead: { scopes: [keys:read, keys:write], may_grant: [contributor, lead], ttl: 1d, refresh_window: 1h }
routes: []
migration: { phase: gradual, overlap: 30d, sunset: 2027-03-01, migrate_until: 2027-06-01 }
`;
}

let latchkey: TestedLatchkey;
let admin: LatchkeyClient;

beforeAll(async () => {
  latchkey = await startLatchkey(ENV, { policy: policyWhere("[basic, free]") });
  admin = createClient({ url: `http://${latchkey.operator}`, token: ENV.ADMIN_TOKEN });
});

afterAll(async () => {
  await latchkey?.stop();
});

/** What a call with a body answers. */
async function send(
  method: string,
  path: string,
  token: string,
  body: object | string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`http://${latchkey.operator}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

const post =
  (path: string) =>
  (token: string, role: string, extra: object, headers = {}) =>
    send("POST", path, token, { name: "x", key_type: role, ...extra }, headers);
const registerV2 = post("/api/auth/v2/register");
const registerV1 = post("/api/auth/register_api_key");

/** A key of the role that an admin has made, and has disabled where that is said. */
async function someKey(role: string, disabled = false): Promise<string> {
  const { key_id: keyId } = await admin.register({ name: "made by an admin", key_type: role });
  if (disabled) await admin.keys.change(keyId, { disabled: true });
  return keyId;
}

async function importLine(token: string, role: string): Promise<{ status: number; text: string }> {
  const line = JSON.stringify({ api_key: `imported-${randomUUID()}`, role, name: "x" });
  const answer = await send("POST", "/api/admin/keys:import", token, line, {
    "content-type": "application/x-ndjson",
  });
  const { imported } = JSON.parse(answer.text);
  return { status: imported === 1 ? 200 : 403, text: answer.text };
}

type Handing = (token: string, role: string) => Promise<{ readonly status: number; readonly text: string }>;

/** Every call that creates, returns, enables or changes another holder's key, by an operator with that token. */
const HANDING: readonly (readonly [call: string, done: number, hand: Handing])[] = [
  ["register", 201, (token, role) => registerV2(token, role, {})],
  ["register without any scope", 201, (token, role) => registerV2(token, role, { scopes: [] })],
  ["register for an owner", 201, (token, role) => registerV2(token, role, { owner: "acme" })],
  [
    "register with an Idempotency-Key",
    201,
    (token, role) => registerV2(token, role, {}, { "idempotency-key": randomUUID() }),
  ],
  ["register an opaque key", 201, (token, role) => registerV1(token, role, {})],
  [
    "register an opaque key, and get a JWT",
    201,
    (token, role) => registerV1(token, role, {}, { "accept-key-version": "2" }),
  ],
  ["import", 200, importLine],
  [
    "rotate",
    200,
    async (token, role) => send("POST", `/api/admin/keys/${await someKey(role)}/rotate`, token, {}),
  ],
  [
    "enable",
    200,
    async (token, role) =>
      send("PATCH", `/api/admin/keys/${await someKey(role, true)}`, token, { disabled: false }),
  ],
  [
    "rename",
    200,
    async (token, role) => send("PATCH", `/api/admin/keys/${await someKey(role)}`, token, { name: "y" }),
  ],
];

describe.each(HANDING)("%s", (_call, done, hand) => {
  test.each([
    ["clerk", "basic", true],
    ["clerk", "contributor", false],
    ["clerk", "idle", false],
    ["clerk", "clerk", false],
    ["clerk", "lead", false],
    ["lead", "contributor", true],
    ["lead", "lead", true],
    ["lead", "basic", false],
    ["lead", "clerk", false],
  ])("a %s hands out a key of the role %s: %s", async (who, role, may) => {
    const { api_key: token } = await admin.register({ name: who, key_type: who });
    const { status, text } = await hand(token, role);
    expect([status, text]).toEqual([may ? done : 403, expect.anything()]);
    if (!may) expect(text).not.toContain("api_key");
  });

  test("an admin token hands out a key of every role", async () => {
    for (const role of ["basic", "contributor", "idle", "clerk", "lead"])
      expect([role, (await hand(ENV.ADMIN_TOKEN, role)).status]).toEqual([role, done]);
  });
});

test("a key that holds less than its role hands out no role by what it has lost", async () => {
  const narrowed = await admin.register({ name: "x", key_type: "clerk", scopes: ["keys:read"] });
  expect((await registerV2(narrowed.api_key, "basic", {})).status).toBe(403);
});

test("a repeated registration is judged by what the caller may grant now", async () => {
  const { api_key: token } = await admin.register({ name: "clerk", key_type: "clerk" });
  const headers = { "idempotency-key": randomUUID() };
  // Anyone may have such a key, but one that an operator vouched for is not anyone's to be given again.
  const first = await registerV2(token, "free", {}, headers);
  expect(await registerV2(token, "free", {}, headers)).toEqual(first);
  const reload = async (grants: string) => {
    await writeFile(join(latchkey.cwd, "latchkey.yaml"), policyWhere(grants));
    await admin.policy.reload();
  };
  await reload("[]");
  expect((await registerV2(token, "free", {}, headers)).status).toBe(403);
  await reload("[basic, free]");
  expect(await registerV2(token, "free", {}, headers)).toEqual(first);
});

test("ending a key takes keys:write alone", async () => {
  const clerk = createClient({
    url: `http://${latchkey.operator}`,
    token: (await admin.register({ name: "clerk", key_type: "clerk" })).api_key,
  });
  const keyId = await someKey("lead");
  await clerk.keys.revoke(keyId);
  expect(await clerk.keys.show(keyId)).toMatchObject({ status: "revoked" });
});
