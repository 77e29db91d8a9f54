import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createClient } from "../../src/client/client.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";

const ENV = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret(), DRAIN_SECONDS: "0" };
const JSON_TYPE = { "content-type": "application/json" };

let latchkey: TestedLatchkey;

beforeAll(async () => {
  latchkey = await startLatchkey(ENV);
});

afterAll(async () => {
  await latchkey?.stop();
});

const problemSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
});

/** Sends a raw body with an operator's credential and returns the problem. */
async function post(path: string, body: string, headers: Readonly<Record<string, string>> = JSON_TYPE) {
  const response = await fetch(`http://${latchkey.http}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${ENV.ADMIN_TOKEN}`, ...headers },
    body,
  });
  expect(response.headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
  const problem = problemSchema.parse(await response.json());
  expect(problem.status).toBe(response.status);
  return {
    status: response.status,
    type: problem.type,
    pointers: problem.errors?.map(({ pointer }) => pointer) ?? [],
  };
}

const register = "/api/auth/v2/register";
const valid = { name: "x", key_type: "contributor" };
const invalid = (...pointers: string[]) => ({ status: 400, type: "/problems/request-invalid", pointers });

describe("an invalid registration gets a problem that names the fields, and nothing is stored", () => {
  const cases: readonly (readonly [what: string, body: unknown, pointers: readonly string[]])[] = [
    ["no body", "", ["#"]],
    ["not JSON", "{name: x}", ["#"]],
    ["an array", "[]", ["#"]],
    ["null", "null", ["#/name", "#/key_type"]],
    ["a member twice", '{"name":"x","name":"y","key_type":"contributor"}', ["#"]],
    ["a member twice, spelt with an escape", '{"name":"x","n\\u0061me":"y","key_type":"contributor"}', ["#"]],
    ["no members", {}, ["#/name", "#/key_type"]],
    ["an unknown member", { ...valid, admin: true }, ["#/admin"]],
    ["__proto__", '{"name":"x","key_type":"contributor","__proto__":{"owner":"y"}}', ["#/__proto__"]],
    ["an empty name", { ...valid, name: "" }, ["#/name"]],
    ["a name with a control character", { ...valid, name: "a\u0007b" }, ["#/name"]],
    ["a name with a line separator", { ...valid, name: "a\u2028b" }, ["#/name"]],
    ["a name with a lone surrogate", { ...valid, name: "a\ud800b" }, ["#/name"]],
    ["a name of 10 KB", { ...valid, name: "x".repeat(10_240) }, ["#/name"]],
    ["a name that is a number", { ...valid, name: 7 }, ["#/name"]],
    ["an unknown role", { ...valid, key_type: "emperor" }, ["#/key_type"]],
    ["a role with a glob", { ...valid, key_type: "contrib*" }, ["#/key_type"]],
    ["a role of the prototype", { ...valid, key_type: "constructor" }, ["#/key_type"]],
    ["an unknown scope", { ...valid, scopes: ["chat:read", "keys:write"] }, ["#/scopes"]],
    ["a scope that is not a string", { ...valid, scopes: ["chat:read", 1] }, ["#/scopes/1"]],
    ["a ttl of zero", { ...valid, ttl: 0 }, ["#/ttl"]],
    ["a negative ttl", { ...valid, ttl: -1 }, ["#/ttl"]],
    ["a ttl above the role's", { ...valid, ttl: 86_400 * 31 }, ["#/ttl"]],
    ["an absurd ttl", '{"name":"x","key_type":"contributor","ttl":1e308}', ["#/ttl"]],
    ["an owner with a glob", { ...valid, owner: "a*" }, ["#/owner"]],
    ["an owner with a separator", { ...valid, owner: "a:b" }, ["#/owner"]],
    ["an owner with braces", { ...valid, owner: "{a}" }, ["#/owner"]],
    ["no networks", { ...valid, addresses: [] }, ["#/addresses"]],
    [
      "nine networks",
      { ...valid, addresses: Array.from({ length: 9 }, (_, i) => `10.0.0.${i}/32`) },
      ["#/addresses"],
    ],
    ["an invalid network", { ...valid, addresses: ["10.0.0.0/8", "10.0.0.1"] }, ["#/addresses/1"]],
    ["a network that is not canonical", { ...valid, addresses: ["10.1.2.3/8"] }, ["#/addresses/0"]],
    ["an IPv4 network written as IPv6", { ...valid, addresses: ["::ffff:10.0.0.0/104"] }, ["#/addresses/0"]],
    ["a network of 10 KB", { ...valid, addresses: [`${"1".repeat(10_240)}/8`] }, ["#/addresses/0"]],
    ["a thumbprint in hex", { ...valid, cnf: { "x5t#S256": "ab".repeat(32) } }, ["#/cnf/x5t%23S256"]],
    [
      "a thumbprint with padding",
      { ...valid, cnf: { "x5t#S256": `${"A".repeat(43)}=` } },
      ["#/cnf/x5t%23S256"],
    ],
    [
      "a confirmation of another kind",
      { ...valid, cnf: { jkt: "A".repeat(43) } },
      ["#/cnf/x5t%23S256", "#/cnf/jkt"],
    ],
    ["metadata that is not an object", { ...valid, metadata: "x" }, ["#/metadata"]],
    ["metadata above 512 bytes", { ...valid, metadata: { a: "x".repeat(600) } }, ["#/metadata"]],
  ];

  test.each(cases)("a registration with %s is rejected", async (_what, body, pointers) => {
    expect(await post(register, typeof body === "string" ? body : JSON.stringify(body))).toEqual(
      invalid(...pointers),
    );
  });

  test("a body that is too large gets 413, another media type 415", async () => {
    const large = JSON.stringify({ ...valid, metadata: { a: "x".repeat(20_000) } });
    expect(await post(register, large)).toMatchObject({ status: 413, type: "/problems/body-too-large" });
    expect(await post(register, "<x/>", { "content-type": "text/xml" })).toMatchObject({ status: 415 });
    expect(
      await post(register, "name=x", { "content-type": "application/x-www-form-urlencoded" }),
    ).toMatchObject({ status: 415 });
  });

  test("no invalid registration has stored a key", async () => {
    const admin = createClient({ url: `http://${latchkey.operator}`, token: ENV.ADMIN_TOKEN });
    expect(await admin.keys.list()).toEqual({ keys: [], examined: 0, next_cursor: null });
  });
});

describe("other calls", () => {
  test.each([
    ["/api/auth/v2/refresh", "{}", ["#/current_key"]],
    ["/api/auth/v2/refresh", '{"current_key":""}', ["#/current_key"]],
    ["/api/auth/v2/revoke", '{"current_key":5}', ["#/current_key"]],
  ])("POST %s rejects the body %s", async (path, body, pointers) => {
    expect(await post(path, body)).toEqual(invalid(...pointers));
  });

  test("a key in place of a key id gets a problem that says so and does not repeat the key", async () => {
    const admin = createClient({ url: `http://${latchkey.operator}`, token: ENV.ADMIN_TOKEN });
    const { api_key } = await admin.register(valid);
    const response = await fetch(`http://${latchkey.operator}/api/admin/keys/${api_key}`, {
      headers: { authorization: `Bearer ${ENV.ADMIN_TOKEN}` },
    });
    const text = await response.text();
    expect(response.status).toBe(400);
    expect(text).toContain("is not a key id");
    expect(text).not.toContain(api_key.slice(0, 40));
  });

  test.each(["basic:1:x", "basic_1_*", "{basic}_1_abcdefghijklmnop", "..%2f..", "basic_1_a"])(
    "the key id %s is invalid",
    async (keyId) => {
      const response = await fetch(
        `http://${latchkey.operator}/api/admin/keys/${encodeURIComponent(keyId)}`,
        {
          method: "DELETE",
          headers: { authorization: `Bearer ${ENV.ADMIN_TOKEN}` },
        },
      );
      expect(response.status).toBe(400);
    },
  );

  test.each([
    "status=dead",
    "limit=0",
    "limit=x",
    "cursor=%00",
    "cursor=zzzzzzzzzzzz",
    "expiring_before=soon",
    "unused_since=never",
    "search=",
    `search=${"x".repeat(129)}`,
    "plan=%00",
    "unknown=1",
    "role=a&role=b",
  ])("the filter %s is invalid, of the list and of the count", async (query) => {
    for (const path of ["/api/admin/keys", "/api/admin/keys:count"]) {
      const response = await fetch(`http://${latchkey.operator}${path}?${query}`, {
        headers: { authorization: `Bearer ${ENV.ADMIN_TOKEN}` },
      });
      expect([path, response.status]).toEqual([path, 400]);
    }
  });

  test("an unknown path gets a problem too", async () => {
    const response = await fetch(`http://${latchkey.http}/api/nothing`);
    expect([response.status, response.headers.get("content-type")]).toEqual([
      404,
      "application/problem+json; charset=utf-8",
    ]);
  });

  test("two credentials in one request are rejected", async () => {
    const response = await fetch(`http://${latchkey.http}/api/auth/v2/validate`, {
      headers: { authorization: `Bearer ${ENV.ADMIN_TOKEN}`, "x-api-key": "x" },
    });
    expect(response.status).toBe(400);
  });
});

test("unauthenticated callers above the limit get 429, while a valid key from the same address is served", async () => {
  const own = await startLatchkey({ ...ENV, LOG_LEVEL: "info" });
  try {
    const validate = (headers: Record<string, string> = {}) =>
      fetch(`http://${own.http}/api/auth/v2/validate`, { headers });
    const { api_key } = await createClient({ url: `http://${own.http}`, token: ENV.ADMIN_TOKEN }).register(
      valid,
    );
    const statuses: number[] = [];
    for (let sent = 0; sent < 62; sent++) statuses.push((await validate()).status);
    expect(statuses[0]).toBe(401);
    const last = await validate();
    expect(last.status).toBe(429);
    expect(Number(last.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect((await validate({ authorization: `Bearer ${api_key}` })).status).toBe(200);
    expect(own.output()).not.toContain(api_key);
  } finally {
    await own.stop();
  }
});
