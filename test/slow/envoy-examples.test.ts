import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { EXAMPLES } from "../../scripts/envoy-process.ts";
import type { TestedCa, TestedCertificate } from "../support/certificates.ts";
import { createCa } from "../support/certificates.ts";
import { HTTP_MANAGER, startExample, validateExample } from "../support/envoy.ts";
import { envoyFolders } from "../support/envoy-files.ts";
import { startGrpcUpstream } from "../support/grpc-upstream.ts";
import type { IssuedKey } from "../support/keys.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import type { RawAnswer, RawRequest } from "../support/raw-request.ts";
import { sendGrpc, sendRaw } from "../support/raw-request.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const policyOf = (name: string) =>
  readFile(new URL(`../../envoy/${name}.policy.yaml`, import.meta.url), "utf8");

let ca: TestedCa;
/** Replace /etc/envoy/edge and /etc/envoy/latchkey. */
let folders: Readonly<Record<string, string>>;
let upstream: Upstream;

beforeAll(async () => {
  ca = await createCa();
  folders = await envoyFolders(ca);
  upstream = await startUpstream();
});

afterAll(() => upstream?.stop());

const reason = ({ headers }: RawAnswer) => headers["x-latchkey-reason"] ?? "none";
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

test.each(EXAMPLES)("Envoy accepts %s.yaml unchanged", async (name) => {
  expect(await validateExample(name, folders)).toBe("OK");
});

describe("edge.yaml", () => {
  let latchkey: TestedLatchkey;
  let envoy: EnvoyProcess;
  let [machine, other]: TestedCertificate[] = [];

  beforeAll(async () => {
    const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN, HTTP_TRUSTED_HOPS: "2", GRPC_TRUSTED_HOPS: "2" };
    latchkey = await startLatchkey(env, { policy: await policyOf("edge") });
    const clusters = {
      latchkey: [latchkey.grpc],
      key_api: [latchkey.http],
      upstream: [`127.0.0.1:${upstream.port}`],
    };
    envoy = await startExample("edge", {
      clusters,
      folders,
      // The tests take the place of a load balancer in front.
      edit: (bootstrap) => bootstrap.setIn([...HTTP_MANAGER, "xff_num_trusted_hops"], 1),
    });
    [machine, other] = await Promise.all([ca.issue("machine"), ca.issue("other")]);
  });

  afterAll(async () => {
    await Promise.all([envoy?.stop(), latchkey?.stop()]);
  });

  /**
   * Sends a request through the edge, with the client address of the load balancer, with or without a client
   * certificate.
   */
  const send = (request: RawRequest, from = "192.0.2.7", certificate?: TestedCertificate) => {
    const shown = certificate && { cert: certificate.cert, key: certificate.key };
    // The client controls everything before the load balancer's entry.
    const headers = { "x-forwarded-for": `10.9.9.9, ${from}`, ...request.headers };
    return sendRaw(envoy.port, { ...request, headers, tls: { ca: ca.cert, ...shown } });
  };
  const call = (path: string, body: object, headers = {}, ...from: [string?, TestedCertificate?]) =>
    send(
      {
        method: "POST",
        path,
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      },
      ...from,
    );

  async function register(body: object, ...from: [string?, TestedCertificate?]): Promise<IssuedKey> {
    const answer = await call(
      "/api/auth/v2/register",
      { name: "edge", key_type: "basic", ...body },
      bearer(ADMIN_TOKEN),
      ...from,
    );
    expect([answer.status, answer.body]).toEqual([201, expect.any(String)]);
    return JSON.parse(answer.body);
  }

  test("the edge publishes the key API: a key is registered, validated, used and revoked through it", async () => {
    const key = await register({});
    const validated = await send({ path: "/api/auth/v2/validate", headers: bearer(key.api_key) });
    expect([validated.status, JSON.parse(validated.body)]).toEqual([
      200,
      expect.objectContaining({ valid: true, key_id: key.key_id }),
    ]);
    expect((await send({ path: "/v1/chat/x", headers: bearer(key.api_key) })).status).toBe(200);
    expect((await call("/api/auth/v2/revoke", { current_key: key.api_key })).status).toBe(204);
    const revoked = await send({ path: "/v1/chat/x", headers: bearer(key.api_key) });
    expect([revoked.status, reason(revoked)]).toEqual([401, "key_revoked"]);
  });

  test("the edge publishes the browser client and the JWK Set, and nothing else of Latchkey", async () => {
    const before = upstream.requests.length;
    const script = await send({ path: "/api-auth-migration.js" });
    expect([script.status, script.headers["content-type"]]).toEqual([
      200,
      expect.stringMatching(/javascript/),
    ]);
    const keys = await send({ path: "/.well-known/jwks.json" });
    expect([keys.status, JSON.parse(keys.body)]).toEqual([200, { keys: [] }]);
    const admin = bearer(ADMIN_TOKEN);
    for (const path of [
      "/api/admin/keys",
      "/api/auth/../admin/keys",
      "/api/admin",
      "/openapi.json",
      "/metrics",
    ]) {
      for (const headers of [{}, admin]) {
        const answer = await send({ path, headers });
        expect([path, answer.status]).toEqual([path, expect.toBeOneOf([401, 403, 404])]);
        expect(answer.body).not.toContain('"keys"');
      }
    }
    expect(upstream.requests.length).toBe(before);
  });

  test("the edge denies a request without a key and a request without the scope", async () => {
    const none = await send({ path: "/v1/chat/x" });
    expect([none.status, reason(none)]).toEqual([401, "credential_missing"]);
    const key = await register({});
    expect(reason(await send({ path: "/v1/models/x", headers: bearer(key.api_key) }))).toBe("scope_missing");
  });

  test("a key bound to networks is valid from them on both listeners, and so is its successor", async () => {
    const key = await register({ addresses: ["192.0.2.0/24"], ttl: 10 });
    const use = { path: "/v1/chat/x", headers: bearer(key.api_key) };
    const validate = { path: "/api/auth/v2/validate", headers: bearer(key.api_key) };
    expect((await send(use)).status).toBe(200);
    expect((await send(validate)).status).toBe(200);
    for (const from of ["192.0.3.7", "2001:db8::1", "::ffff:192.0.3.7", "nonsense"]) {
      const answer = await send(use, from);
      expect([from, answer.status, reason(answer)]).toEqual([from, 403, "address_not_allowed"]);
      const response = await send(validate, from);
      expect([response.status, JSON.parse(response.body).type]).toEqual([
        403,
        "/problems/address-not-allowed",
      ]);
      expect((await call("/api/auth/v2/refresh", { current_key: key.api_key }, {}, from)).status).toBe(403);
    }
    expect((await send(use, "::ffff:192.0.2.9")).status).toBe(200);
    await expect
      .poll(async () => (await call("/api/auth/v2/refresh", { current_key: key.api_key })).status, {
        // Each call that fails uses the allowance of its address.
        interval: 1000,
      })
      .toBe(200);
  });

  test("a key bound to a certificate is valid with that certificate only", async () => {
    const key = await register({ cnf: { "x5t#S256": machine?.thumbprint } });
    const use = { path: "/v1/chat/x", headers: bearer(key.api_key) };
    expect((await send(use, undefined, machine)).status).toBe(200);
    for (const certificate of [undefined, other]) {
      const answer = await send(use, undefined, certificate);
      expect([answer.status, reason(answer)]).toEqual([401, "certificate_mismatch"]);
    }
    // The key API sees Envoy's connection instead of the client's, so a bound key is invalid there.
    const response = await send(
      { path: "/api/auth/v2/validate", headers: bearer(key.api_key) },
      undefined,
      machine,
    );
    expect([response.status, JSON.parse(response.body).type]).toEqual([
      401,
      "/problems/certificate-mismatch",
    ]);
    // An unbound key is valid there.
    const free = await register({});
    expect((await send({ path: "/v1/chat/x", headers: bearer(free.api_key) }, undefined, other)).status).toBe(
      200,
    );
  });

  test("a certificate of another authority is rejected in the handshake", async () => {
    const untrusted = await (await createCa("another")).issue("machine");
    await expect(send({ path: "/public/x" }, undefined, untrusted)).rejects.toThrow();
  });
});

test("grpc-services.yaml: a call with a key passes, and a call without one is denied with a grpc-status", async () => {
  const calls = await startGrpcUpstream();
  const latchkey = await startLatchkey(
    { JWT_SECRET: newSecret(), GRPC_LISTEN: await newSocket() },
    { policy: await policyOf("grpc-services") },
  );
  const clusters = { latchkey: [latchkey.grpc], upstream: [`127.0.0.1:${calls.port}`] };
  const envoy = await startExample("grpc-services", { clusters });
  try {
    const { api_key } = await registerKey(latchkey.http);
    const grpc = { "content-type": "application/grpc" };
    const ask = (path: string, headers = {}) => sendGrpc(envoy.port, path, { ...grpc, ...headers });
    expect(await ask("/chat.v1.Chat/Send", bearer(api_key))).toMatchObject({ "grpc-status": "0" });
    expect(await ask("/chat.v1.Chat/Send")).toMatchObject({
      ":status": "200",
      "grpc-status": "16",
      "grpc-message": expect.stringContaining("key"),
    });
    expect(await ask("/models.v1.Models/Get", bearer(api_key))).toMatchObject({ "grpc-status": "7" });
    expect(await ask("/other.v1.Other/Get", bearer(api_key))).toMatchObject({ "grpc-status": "7" });
    expect(await ask("/grpc.health.v1.Health/Check")).toMatchObject({ "grpc-status": "0" });
    expect((await sendRaw(envoy.port, { path: "/chat.v1.Chat/Send" })).status).toBe(401);
    expect(calls.calls).toEqual(["/chat.v1.Chat/Send", "/grpc.health.v1.Health/Check"]);
  } finally {
    await Promise.all([envoy.stop(), latchkey.stop(), calls.stop()]);
  }
});

test("shadow.yaml: a request that would be denied passes, with and without Latchkey, and without the client's identity headers", async () => {
  const latchkey = await startLatchkey(
    { JWT_SECRET: newSecret(), GRPC_LISTEN: await newSocket() },
    { policy: "defaults: { mode: shadow }" },
  );
  const clusters = { latchkey: [latchkey.grpc], upstream: [`127.0.0.1:${upstream.port}`] };
  const envoy = await startExample("shadow", { clusters });
  const send = () =>
    sendRaw(envoy.port, {
      path: "/v1/chat/x",
      headers: { authorization: "Bearer garbage", "x-latchkey-role": "admin" },
    });
  const seen = () => new Map(upstream.requests.at(-1)?.headers.map(([name, value]) => [name, value]));
  try {
    expect((await send()).status).toBe(200);
    expect([seen().get("authorization"), seen().get("x-latchkey-role")]).toEqual([
      "Bearer garbage",
      undefined,
    ]);
    const metrics = await (await fetch(`http://${latchkey.ops}/metrics`)).text();
    expect(metrics).toMatch(/reason="credential_invalid".*mode="shadow"\} 1/);
    await latchkey.stop();
    expect((await send()).status).toBe(200);
    expect([seen().get("x-envoy-auth-failure-mode-allowed"), seen().get("x-latchkey-role")]).toEqual([
      "true",
      undefined,
    ]);
  } finally {
    await Promise.all([envoy.stop(), latchkey.stop()]);
  }
});
