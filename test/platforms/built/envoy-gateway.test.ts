import { readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import type { Child } from "../../../scripts/child.ts";
import { PLATFORMS, writeNote } from "../../../scripts/platforms.ts";
import { removeAtEnd } from "../../support/at-end.ts";
import { readResources } from "../../support/chart.ts";
import { GATEWAY_ENVOY, startEnvoyGateway } from "../../support/envoy-gateway.ts";
import { jwkSet, newJwk } from "../../support/jwk.ts";
import { registerKey } from "../../support/keys.ts";
import type { TestedLatchkey } from "../../support/latchkey.ts";
import { freeAddress, startLatchkey } from "../../support/latchkey.ts";
import type { Upstream } from "../../support/upstream.ts";
import { startUpstream } from "../../support/upstream.ts";

const ISSUER = "https://keys.example.com";
const WAIT = { timeout: 60_000, interval: 300 };
const read = (path: string) =>
  readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), "utf8");
/** The built-in policy with the route of the guide. */
const POLICY = read("latchkey.yaml").replace(
  "routes:\n",
  "routes:\n  - { path: /api/auth/**, public: true, strip_credential: false }\n",
);

/** A route on which Envoy verifies keys itself, and sends no Check. */
function jwtRoute(http: string): readonly object[] {
  const remoteJWKS = { uri: `http://${http}/.well-known/jwks.json` };
  return [
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "jwt", namespace: "default" },
      spec: {
        parentRefs: [{ name: "eg" }],
        rules: [
          {
            matches: [{ path: { type: "PathPrefix", value: "/jwt" } }],
            backendRefs: [{ group: "gateway.envoyproxy.io", kind: "Backend", name: "app" }],
          },
        ],
      },
    },
    {
      apiVersion: "gateway.envoyproxy.io/v1alpha1",
      kind: "SecurityPolicy",
      metadata: { name: "jwt", namespace: "default" },
      spec: {
        targetRefs: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: "jwt" }],
        jwt: { providers: [{ name: "latchkey", issuer: ISSUER, remoteJWKS }] },
      },
    },
  ];
}

describe(PLATFORMS["built/envoy-gateway.test.ts"], () => {
  let latchkey: TestedLatchkey;
  let upstream: Upstream;
  let gateway: Child;
  let url: string;
  let key: string;

  const ask = (path: string, headers: Record<string, string> = {}) => fetch(`${url}${path}`, { headers });
  const statusOf = async (path: string, headers: Record<string, string> = {}) =>
    (await ask(path, headers)).status;

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), "latchkey-keys-"));
    removeAtEnd(folder);
    const keys = join(folder, "keys.json");
    await writeFile(keys, jwkSet(newJwk("ES256", "first")), { mode: 0o600 });
    latchkey = await startLatchkey({ JWT_KEYS_FILE: keys, JWT_ISSUER: ISSUER }, { policy: POLICY });
    upstream = await startUpstream();
    const address = await freeAddress();
    url = `http://${address}`;
    gateway = await startEnvoyGateway({
      port: Number(address.split(":")[1]),
      authz: latchkey.grpc,
      keyApi: latchkey.http,
      app: `127.0.0.1:${upstream.port}`,
      more: jwtRoute(latchkey.http),
    });
    writeNote("built/envoy-gateway.test.ts", { versions: `Envoy Gateway 1.9.1, Envoy ${GATEWAY_ENVOY}` });
    key = (await registerKey(latchkey.http)).api_key;
    await vi.waitFor(async () => expect(await statusOf("/v1/chat/x", { "x-api-key": key })).toBe(200), WAIT);
  });

  afterAll(async () => {
    await gateway?.stop();
    await Promise.all([latchkey?.stop(), upstream?.stop()]);
  });

  test("without a key a request is denied with the reason, with a valid key it reaches the upstream", async () => {
    const denied = await ask("/v1/chat/x");
    expect([denied.status, denied.headers.get("x-latchkey-reason")]).toEqual([401, "credential_missing"]);
    expect(await statusOf("/v1/chat/x", { authorization: `Bearer ${key}` })).toBe(200);
    const seen = upstream.requests.at(-1)?.headers.map(([name]) => name.toLowerCase());
    expect(seen).toContain("x-latchkey-role");
    expect(seen).not.toContain("authorization");
  });

  test("a missing scope, an escaped slash and a header with an underscore are denied", async () => {
    expect(await statusOf("/v1/models/x", { "x-api-key": key })).toBe(403);
    expect(await statusOf("/public%2f..%2fv1/chat/x")).toBe(400);
    expect(await statusOf("/public/x", { x_latchkey_role: "node_operator" })).toBe(400);
  });

  test("a public route and the key API need no key, and merged slashes find the same route", async () => {
    expect([await statusOf("/public/x"), await statusOf("//v1//models/x", { "x-api-key": key })]).toEqual([
      200, 403,
    ]);
    expect(await registerKey(url.replace("http://", ""))).toMatchObject({ role: "basic" });
  });

  test("Envoy Gateway's own JWT filter verifies keys by our JWK Set", async () => {
    const [header, claims] = key.split(".");
    const forged = `${header}.${claims}.${Buffer.alloc(64, 1).toString("base64url")}`;
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
    expect(await statusOf("/jwt/x")).toBe(401);
    expect(await statusOf("/jwt/x", bearer(forged))).toBe(401);
    await vi.waitFor(async () => expect(await statusOf("/jwt/x", bearer(key))).toBe(200), WAIT);
  });

  test("without Latchkey a request is denied with 503, not with 403", async () => {
    await latchkey.stop();
    expect(await statusOf("/v1/chat/x", { "x-api-key": key })).toBe(503);
    expect(await statusOf("/public/x")).toBe(503);
  });
});

test("headersToExtAuth has every header that the sidecar's filter sends, except those of clients that Latchkey removes", () => {
  const sent = [...read("envoy/sidecar.yaml").matchAll(/\{ exact: ([\w-]+), ignore_case: true \}/g)];
  const form = z.object({ spec: z.object({ extAuth: z.object({ headersToExtAuth: z.array(z.string()) }) }) });
  const [policy] = readResources(read("deploy/envoy-gateway/latchkey.yaml"));
  expect(form.parse(policy).spec.extAuth.headersToExtAuth).toEqual(sent.map(([, name]) => name));
});
