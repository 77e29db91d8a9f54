import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { startEnvoy } from "../support/envoy.ts";
import { forgeToken, newSecret, readToken, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import type { SeenRequest, Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const JWT_SECRET = newSecret();
const ADMIN_TOKEN = newSecret();

let latchkey: TestedLatchkey;
let upstream: Upstream;
let envoy: EnvoyProcess;

beforeAll(async () => {
  [latchkey, upstream] = await Promise.all([
    startLatchkey({ JWT_SECRET, ADMIN_TOKEN, GRPC_LISTEN: await newSocket() }),
    startUpstream(),
  ]);
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
});

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${envoy.port}${path}`, init);
}

function bearer(token: string): RequestInit {
  return { headers: { authorization: `Bearer ${token}` } };
}

/** A header of the latest request to the upstream, by name. */
function seen(): { readonly request: SeenRequest; readonly headers: ReadonlyMap<string, readonly string[]> } {
  const request = upstream.requests.at(-1);
  if (request === undefined) throw new Error("upstream saw nothing");
  const headers = new Map<string, string[]>();
  for (const [name, value] of request.headers) {
    headers.set(name.toLowerCase(), [...(headers.get(name.toLowerCase()) ?? []), value]);
  }
  return { request, headers };
}

/** A token with a valid key's claims, some of them changed, signed as requested. */
function altered(token: string, changes: Readonly<Record<string, unknown>>, secret = JWT_SECRET): string {
  const { header, claims } = readToken(token);
  return forgeToken(header, { ...claims, ...changes }, secret);
}

describe("a valid key", () => {
  test("a valid key opens its routes, and the upstream gets its identity but never the key", async () => {
    const key = await registerKey(latchkey.http);
    const response = await ask("/v1/chat/hello?x=1", bearer(key.api_key));
    expect(response.status).toBe(200);
    const { request, headers } = seen();
    expect(request.url).toBe("/v1/chat/hello?x=1");
    const { claims } = readToken(key.api_key);
    expect(headers.get("x-latchkey-key-id")).toEqual([key.key_id]);
    expect(headers.get("x-latchkey-family")).toEqual([claims["fam"]]);
    expect(headers.get("x-latchkey-owner")).toEqual([claims["fam"]]);
    expect(headers.get("x-latchkey-role")).toEqual(["basic"]);
    expect(headers.get("x-latchkey-scopes")).toEqual(["chat:read chat:write"]);
    expect(headers.get("x-latchkey-name")).toEqual(["test"]);
    expect(headers.get("x-latchkey-decision-id")).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)]);
    expect(headers.has("authorization")).toBe(false);
    expect(JSON.stringify(request)).not.toContain(key.api_key);
  });

  test("a valid key in X-API-Key opens its routes, and the upstream does not get it either", async () => {
    const key = await registerKey(latchkey.http);
    const response = await ask("/v1/chat/hello", { headers: { "x-api-key": key.api_key } });
    expect(response.status).toBe(200);
    expect(seen().headers.has("x-api-key")).toBe(false);
  });

  test("a name that no header can contain arrives percent-encoded", async () => {
    const key = await registerKey(latchkey.http, "basic", { body: { name: "Zoë 100%" } });
    await ask("/v1/chat/hello", bearer(key.api_key));
    expect(seen().headers.get("x-latchkey-name")).toEqual(["Zo%C3%AB 100%25"]);
  });

  test("a client's own identity headers never reach the upstream, not even on public routes", async () => {
    const spoofed = {
      "x-latchkey-role": "admin",
      "x-latchkey-key-id": "admin_1_x",
      "x-latchkey-owner": "acme",
    };
    const key = await registerKey(latchkey.http);
    await ask("/v1/chat/hello", { headers: { ...spoofed, authorization: `Bearer ${key.api_key}` } });
    expect(seen().headers.get("x-latchkey-role")).toEqual(["basic"]);
    expect(seen().headers.get("x-latchkey-key-id")).toEqual([key.key_id]);
    const response = await ask("/public/page", { headers: spoofed });
    expect(response.status).toBe(200);
    const names = [...seen().headers.keys()].filter((name) => name.startsWith("x-latchkey-"));
    expect(names).toEqual(["x-latchkey-decision-id"]);
  });
});

describe("a request without a valid key is denied, and does not reach the upstream", () => {
  const denials: readonly (readonly [what: string, init: (valid: string) => RequestInit, reason: string])[] =
    [
      ["no key", () => ({}), "credential_missing"],
      [
        "another secret's signature",
        (valid) => bearer(altered(valid, {}, newSecret())),
        "credential_invalid",
      ],
      ["alg none", (valid) => bearer(`${unsigned(valid)}.`), "credential_invalid"],
      [
        "alg none with a signature's place filled",
        (valid) => bearer(`${unsigned(valid)}.AAAA`),
        "credential_invalid",
      ],
      [
        "expired",
        (valid) => bearer(altered(valid, { iat: 1, nbf: 1, exp: 1000, refresh_after: 500 })),
        "key_expired",
      ],
      ["another issuer", (valid) => bearer(altered(valid, { iss: "another" })), "credential_invalid"],
      ["another audience", (valid) => bearer(altered(valid, { aud: "another" })), "credential_invalid"],
      ["an unknown role", (valid) => bearer(altered(valid, { role: "emperor" })), "credential_invalid"],
      [
        "a subject that is not its family",
        (valid) => bearer(altered(valid, { sub: "x" })),
        "credential_invalid",
      ],
      [
        "a role that is not its key id's",
        (valid) => bearer(altered(valid, { role: "admin" })),
        "credential_invalid",
      ],
      ["no JWT at all", () => bearer("garbage"), "credential_invalid"],
    ];

  test.each(denials)("%s: denied", async (_what, init, reason) => {
    const { api_key } = await registerKey(latchkey.http);
    const before = upstream.requests.length;
    const response = await ask("/v1/chat/hello", init(api_key));
    expect(response.headers.get("x-latchkey-reason")).toBe(reason);
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toMatch(/^Bearer realm="latchkey"/);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(response.headers.get("x-latchkey-decision-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(upstream.requests.length).toBe(before);
    expect(await response.text()).not.toContain(api_key);
  });

  test("without a key, the challenge names no error (RFC 6750 §3)", async () => {
    const response = await ask("/v1/chat/hello");
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="latchkey"');
  });

  test("a request with two keys is denied", async () => {
    const { api_key } = await registerKey(latchkey.http);
    const response = await ask("/v1/chat/hello", {
      headers: { authorization: `Bearer ${api_key}`, "x-api-key": api_key },
    });
    expect(response.status).toBe(400);
    expect(response.headers.get("x-latchkey-reason")).toBe("credential_ambiguous");
  });
});

test("white space other than SP and HTAB beside a key is part of the key, so the request is denied", async () => {
  const { api_key } = await registerKey(latchkey.http);
  const before = upstream.requests.length;
  for (const blank of ["\u00a0", "\ufeff", "\u2003", "\u3000"]) {
    // Header values are sent as bytes; these are the UTF-8 ones.
    const bytes = Buffer.from(blank).toString("latin1");
    const response = await ask("/v1/chat/hello", bearer(`${api_key}${bytes}`));
    expect([blank, response.headers.get("x-latchkey-reason")]).toEqual([blank, "credential_ambiguous"]);
  }
  expect(upstream.requests.length).toBe(before);
});

describe("what a key may do", () => {
  test("a missing scope gets a 403 that names the scope", async () => {
    const { api_key } = await registerKey(latchkey.http);
    const response = await ask("/v1/models/list", bearer(api_key));
    expect(response.status).toBe(403);
    expect(response.headers.get("www-authenticate")).toContain('error="insufficient_scope"');
    expect(response.headers.get("www-authenticate")).toContain('scope="model:read"');
  });

  test("an unknown route gets 403 with a valid key and 401 without, so unauthenticated callers learn no routes", async () => {
    const { api_key } = await registerKey(latchkey.http);
    const known = await ask("/nowhere", bearer(api_key));
    expect([known.status, known.headers.get("x-latchkey-reason")]).toEqual([403, "route_unknown"]);
    expect((await ask("/nowhere")).status).toBe(401);
  });

  test("an ambiguous path is denied", async () => {
    const { api_key } = await registerKey(latchkey.http);
    for (const path of ["/v1/chat/x;y=1", "/v1/chat/%ff", "/v1/chat/%252e"]) {
      const response = await ask(path, bearer(api_key));
      expect([path, response.status, response.headers.get("x-latchkey-reason")]).toEqual([
        path,
        400,
        "request_malformed",
      ]);
    }
  });

  test("an operator registers keys of roles that self-service does not give", async () => {
    await expect(registerKey(latchkey.http, "contributor")).rejects.toThrow("401");
    const key = await registerKey(latchkey.http, "contributor", { token: ADMIN_TOKEN });
    expect((await ask("/v1/models/list", bearer(key.api_key))).status).toBe(200);
  });
});

test("an empty bucket gets a 429 with the time to wait, for that key only", async () => {
  const spent = await registerKey(latchkey.http);
  const other = await registerKey(latchkey.http);
  const statuses: number[] = [];
  for (let sent = 0; sent < 70; sent++) {
    const response = await ask("/v1/chat/hello", bearer(spent.api_key));
    statuses.push(response.status);
    if (response.status === 429) {
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
      expect(response.headers.get("x-latchkey-reason")).toBe("rate_limited");
    }
  }
  expect(statuses.slice(0, 60)).toEqual(Array.from({ length: 60 }, () => 200));
  expect(statuses).toContain(429);
  expect((await ask("/v1/chat/hello", bearer(other.api_key))).status).toBe(200);
});

test("the metrics count each decision by its reason", async () => {
  await ask("/v1/chat/hello");
  const text = await (await fetch(`http://${latchkey.ops}/metrics`)).text();
  expect(text).toMatch(
    /latchkey_decisions_total\{verdict="deny",reason="credential_missing",role="none",route="none",mode="enforce"\} [1-9]/,
  );
  expect(text).toMatch(
    /latchkey_decisions_total\{verdict="allow",reason="allowed",role="basic",route="\/v1\/chat\/\*\*",mode="enforce"\} [1-9]/,
  );
  expect(text).toMatch(/latchkey_decision_duration_seconds_count [1-9]/);
});

test("without Latchkey Envoy lets nothing through; it recovers by itself, and keys survive", async () => {
  const { api_key } = await registerKey(latchkey.http);
  const before = upstream.requests.length;
  expect(await latchkey.stop()).toBe(0);
  const closed = await ask("/v1/chat/hello", bearer(api_key));
  expect(closed.status).toBe(503);
  expect(upstream.requests.length).toBe(before);
  const { dataDir: DATA_DIR, grpc: GRPC_LISTEN } = latchkey;
  latchkey = await startLatchkey({ JWT_SECRET, ADMIN_TOKEN, DATA_DIR, GRPC_LISTEN });
  await expect.poll(async () => (await ask("/v1/chat/hello", bearer(api_key))).status).toBe(200);
});

/** A token whose header says alg none. */
function unsigned(token: string): string {
  const { header, claims } = readToken(token);
  return forgeToken({ ...header, alg: "none" }, claims, JWT_SECRET)
    .split(".")
    .slice(0, 2)
    .join(".");
}
