import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { createClient } from "../../src/client/client.ts";
import { startEnvoy } from "../support/envoy.ts";
import type { TestedIssuer } from "../support/issuer.ts";
import { startIssuer } from "../support/issuer.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runHere } from "../support/program.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
let issuer: TestedIssuer;
let latchkey: TestedLatchkey;
let envoy: EnvoyProcess;
let upstream: Upstream;

beforeAll(async () => {
  [issuer, upstream] = await Promise.all([startIssuer(), startUpstream()]);
  latchkey = await startLatchkey({ ADMIN_TOKEN, LOG_LEVEL: "debug" }, { policy: policyOf(issuer) });
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
  // The keys are fetched at start; a first token must not race that.
  while ((await statusOf(wide())) !== 200) await pause(20);
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), latchkey?.stop()]);
  await Promise.all([issuer?.stop(), upstream?.stop()]);
});

function policyOf(from: TestedIssuer): string {
  return `
roles:
  basic: { scopes: [a, b], ttl: 1d, refresh_window: 1h, self_service: true, rate_limits: [{ name: n, per: key, capacity: 3, refill: 1/h }] }
  wide: { scopes: [a], ttl: 1d, refresh_window: 1h }
routes:
  - { path: /a/**, scopes: [a] }
  - { path: /b/**, scopes: [b] }
issuers:
  - { name: corp, issuer: "${from.issuer}", jwks_uri: "${from.jwksUri}", audience: api, roles: [wide, basic] }
  - { name: dead, issuer: dead, jwks_uri: "http://127.0.0.1:9/keys", audience: api, roles: [basic] }
`;
}

async function send(token: string | Promise<string>, path = "/a/x") {
  const headers = { authorization: `Bearer ${await token}` };
  const answer = await fetch(`http://127.0.0.1:${envoy.port}${path}`, { headers });
  return { status: answer.status, reason: answer.headers.get("x-latchkey-reason") };
}

const statusOf = async (token: string | Promise<string>) => (await send(token)).status;
const wide = (claims: Readonly<Record<string, unknown>> = {}) => issuer.token({ role: "wide", ...claims });
const operator = () => createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });

test("another issuer's token passes by its role, and the upstream gets its identity", async () => {
  expect(await send(wide({ sub: "auth0|zoë", jti: "id" }))).toEqual({ status: 200, reason: null });
  const seen = new Map(upstream.requests.at(-1)?.headers.map(([name, value]) => [name.toLowerCase(), value]));
  expect(seen.get("x-latchkey-key-id")).toBe("corp:id");
  expect(seen.get("x-latchkey-family")).toBe("corp:auth0%7Czo%C3%AB");
  expect(seen.get("x-latchkey-role")).toBe("wide");
  expect(seen.has("authorization")).toBe(false);
  expect(await send(wide(), "/b/x")).toEqual({ status: 403, reason: "scope_missing" });
  expect(await send(wide({ aud: "other" }))).toEqual({ status: 401, reason: "credential_invalid" });
});

test("another issuer's tokens have their own buckets, by owner", async () => {
  const spent = () => issuer.token({ sub: "spender", jti: crypto.randomUUID() });
  const statuses = [];
  for (let times = 0; times < 4; times++) statuses.push(await statusOf(spent()));
  expect(statuses).toEqual([200, 200, 200, 429]);
  expect(await statusOf(issuer.token({ sub: "another" }))).toBe(200);
});

describe("the key API", () => {
  test("no token of another issuer opens the key API", async () => {
    const token = await wide();
    const holder = createClient({ url: `http://${latchkey.operator}`, token });
    const denied = { status: 401, reason: "credential-invalid" };
    await expect(holder.validate(token)).rejects.toMatchObject(denied);
    await expect(holder.refresh(token)).rejects.toMatchObject(denied);
    await expect(holder.revoke(token)).rejects.toMatchObject(denied);
    await expect(holder.keys.list()).rejects.toMatchObject(denied);
    await expect(holder.register({ name: "n", key_type: "basic" })).rejects.toMatchObject(denied);
    expect(await operator().introspect(token)).toEqual({ active: false });
  });

  test("revoking an owner of another issuer revokes its present tokens, and revoking a family is permanent", async () => {
    const nowSeconds = Math.floor(Date.now() / 1000);
    await operator().keys.revokeOwner("corp:bob");
    expect(await send(wide({ sub: "bob", iat: nowSeconds - 10 }))).toMatchObject({ reason: "key_revoked" });
    expect(await statusOf(wide({ sub: "bob", iat: nowSeconds + 4 }))).toBe(200);
    const env = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
    expect((await runHere(["keys", "revoke", "--family", "corp:bob"], env)).status).toBe(0);
    expect(await send(wide({ sub: "bob", iat: nowSeconds + 4 }))).toMatchObject({ reason: "key_revoked" });
    expect(await statusOf(wide({ sub: "carol" }))).toBe(200);
    await expect(operator().keys.revokeFamily("Corp:bob")).rejects.toMatchObject({ status: 400 });
  });

  test("revoking an owner again revokes the tokens that were issued since the last revocation", async () => {
    for (let round = 0; round < 2; round++) {
      let token = "";
      const admitted = async () => {
        token = await wide({ sub: "dave" });
        return statusOf(token);
      };
      await expect.poll(admitted).toBe(200);
      await operator().keys.revokeOwner("corp:dave");
      expect(await send(token)).toEqual({ status: 401, reason: "key_revoked" });
    }
  });

  test("no caller can register a key for an owner of another issuer", async () => {
    const registration = { name: "n", key_type: "basic", owner: "corp:bob" };
    await expect(operator().register(registration)).rejects.toMatchObject({ status: 400 });
  });
});

test("an unavailable issuer is logged and counted, and delays no other token", async () => {
  const dead = await issuer.token({ iss: "dead" });
  expect(await send(dead)).toEqual({ status: 503, reason: "credential_unavailable" });
  expect(await statusOf((await registerKey(latchkey.http)).api_key)).toBe(200);
  expect(await statusOf(wide())).toBe(200);
  const metrics = async () => (await fetch(`http://${latchkey.ops}/metrics`)).text();
  await expect.poll(metrics).toMatch(/latchkey_issuer_fetches_total\{issuer="dead",result="failed"\} [1-9]/);
  await expect.poll(latchkey.output).toContain("the keys of the issuer dead cannot be fetched");
});

describe("the cause of a rejected token", () => {
  const loggedRejections = () =>
    latchkey
      .output()
      .split("\n")
      .filter((line) => line.includes("a credential was rejected"));
  const refusals: readonly (readonly [cause: string, Readonly<Record<string, unknown>>, header?: object])[] =
    [
      ["audience_wrong", { aud: "other" }],
      ["role_missing", { role: "admin" }],
      ["not_yet_valid", { nbf: Math.floor(Date.now() / 1000) + 3600 }],
      ["key_unknown", {}, { kid: "another" }],
      ["algorithm_not_allowed", {}, { alg: "none" }],
      ["token_too_long", { groups: "x".repeat(16_384) }],
      ["issuer_unknown", { iss: "https://else.example.com" }],
    ];
  const withHeader = (token: string, header: object | undefined) =>
    header === undefined
      ? token
      : token.replace(/^[^.]+/, (segment) =>
          Buffer.from(
            JSON.stringify({ ...JSON.parse(Buffer.from(segment, "base64url").toString()), ...header }),
          ).toString("base64url"),
        );

  test("the client learns nothing of the cause, and operators learn it by explain, log and metric", async () => {
    const answers = new Set<string>();
    for (const [cause, claims, header] of refusals) {
      const key = withHeader(await wide(claims), header);
      const answer = await fetch(`http://127.0.0.1:${envoy.port}/a/x`, {
        headers: { authorization: `Bearer ${key}` },
      });
      const decisionId = answer.headers.get("x-latchkey-decision-id") ?? "none";
      const headers = [...answer.headers].filter(([name]) => name !== "date");
      answers.add(JSON.stringify([answer.status, headers, await answer.text()]).replaceAll(decisionId, ""));
      const explained = await operator().explain({ method: "GET", path: "/a/x", key });
      expect(explained).toMatchObject({ reason: "credential_invalid" });
      const step = explained.steps.find(({ step }) => step === "key");
      expect(step?.observed).toContain(`(${cause})`);
      const ofIssuer = cause === "issuer_unknown" ? "_other" : "corp";
      if (ofIssuer === "corp") expect(step?.observed).toContain("a token of the issuer corp");
      await expect
        .poll(() => loggedRejections())
        .toContainEqual(expect.stringMatching(new RegExp(`"cause":"${cause}".*${decisionId}`)));
      const counted = `latchkey_token_refusals_total{issuer="${ofIssuer}",cause="${cause}"} `;
      await expect
        .poll(async () => (await fetch(`http://${latchkey.ops}/metrics`)).text())
        .toContain(counted);
    }
    expect([...answers]).toHaveLength(1);
  });
});

test("a token with 300 groups passes, and can be explained and introspected", async () => {
  const groups = Array.from({ length: 300 }, (_, at) => `a group with a long name, number ${at}`);
  const key = await wide({ groups });
  expect(key.length).toBeGreaterThan(10_573);
  expect(await statusOf(key)).toBe(200);
  expect(await operator().explain({ method: "GET", path: "/a/x", key })).toMatchObject({ verdict: "allow" });
  expect(await operator().introspect(key)).toEqual({ active: false });
});

test("a token from a clock that is ten seconds ahead passes", async () => {
  const seconds = Math.floor(Date.now() / 1000);
  expect(await statusOf(wide({ iat: seconds + 10 }))).toBe(200);
});

test("explain names the issuer of a token", async () => {
  const explained = await operator().explain({
    method: "GET",
    path: "/a/x",
    key: await wide({ jti: "why" }),
  });
  expect(explained).toMatchObject({ verdict: "allow" });
  expect(explained.steps.find(({ step }) => step === "key")?.observed).toContain("corp:why");
});
