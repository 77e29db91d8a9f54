import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { EXT_AUTHZ, HTTP_MANAGER, startEnvoy } from "./envoy.ts";
import type { IssuedKey } from "./keys.ts";
import { newSecret, registerKey } from "./keys.ts";
import type { TestedLatchkey } from "./latchkey.ts";
import { startLatchkey } from "./latchkey.ts";
import type { RawAnswer, RawRequest } from "./raw-request.ts";
import { sendGrpc, sendRaw } from "./raw-request.ts";
import type { Upstream } from "./upstream.ts";
import { startUpstream } from "./upstream.ts";

const POLICY = `
roles:
  basic: { scopes: [a:read], ttl: 1d, refresh_window: 23h, self_service: true,
           rate_limits: [{ name: n, per: key, capacity: 1000, refill: 10/s }] }
  tight: { scopes: [a:read], ttl: 1d, refresh_window: 1h, self_service: true,
           rate_limits: [{ name: n, per: key, capacity: 1, refill: 1/h }] }
routes:
  - { path: /a/**, scopes: [a:read] }
  - { path: /secret/**, scopes: [a:read], name: secret }
  - { path: /open/**, public: true }
  - { path: /trial/**, scopes: [a:read], mode: shadow }
headers: { credential: [authorization, x-api-key, "cookie:sid", "query:api_key"] }
requests: { preflights: allow }
`;

/**
 * How every Envoy version must treat our responses: spoofed and duplicate headers, unusual paths and protocols,
 * shadow mode.
 */
export function envoyMatrix(version?: string): void {
  let latchkey: TestedLatchkey;
  let upstream: Upstream;
  /** Our example, and an Envoy that leaves paths and header names unchanged. */
  let envoys: Readonly<Record<"careful" | "plain", EnvoyProcess>>;
  let key: IssuedKey;

  beforeAll(async () => {
    [latchkey, upstream] = await Promise.all([
      startLatchkey({ JWT_SECRET: newSecret() }, { policy: POLICY }),
      startUpstream(),
    ]);
    const common = { authzTarget: latchkey.grpc, upstreamPort: upstream.port, ...(version && { version }) };
    const [careful, plain] = await Promise.all([
      startEnvoy({ ...common, edit: lettingCookiesThrough }),
      startEnvoy({
        ...common,
        normalise: false,
        edit: (bootstrap) => {
          lettingCookiesThrough(bootstrap);
          bootstrap.deleteIn([
            ...HTTP_MANAGER,
            "common_http_protocol_options",
            "headers_with_underscores_action",
          ]);
          bootstrap.deleteIn([...EXT_AUTHZ, "encode_raw_headers"]);
          bootstrap.deleteIn([...EXT_AUTHZ, "allowed_headers"]);
        },
      }),
    ]);
    envoys = { careful, plain };
    key = await registerKey(latchkey.http);
  });

  afterAll(async () => {
    await Promise.all([envoys?.careful.stop(), envoys?.plain.stop(), latchkey?.stop(), upstream?.stop()]);
  });

  const send = (request: RawRequest, which: "careful" | "plain" = "careful"): Promise<RawAnswer> =>
    sendRaw(envoys[which].port, request);
  const reason = ({ headers }: RawAnswer) => headers["x-latchkey-reason"];
  const bearer = () => ({ authorization: `Bearer ${key.api_key}` });
  const lastSeen = () => {
    const request = upstream.requests.at(-1);
    const ours = request?.headers.filter(([name]) => /^x[-_]latchkey/i.test(name)) ?? [];
    return {
      url: request?.url,
      ours,
      headers: new Map(request?.headers.map(([n, v]) => [n.toLowerCase(), v])),
    };
  };

  describe.each(["careful", "plain"] as const)("behind a %s Envoy", (which) => {
    test("spoofed identity headers never arrive, in any spelling and number", async () => {
      const spoofed = {
        "x-latchkey-role": ["admin", "root"],
        "X-Latchkey-Owner": "acme",
        "x-latchkey-other": "1",
      };
      for (const path of ["/a/x", "/open/x"]) {
        const answer = await send({ path, headers: { ...bearer(), ...spoofed } }, which);
        expect(answer.status).toBe(200);
        expect(JSON.stringify(lastSeen().ours)).not.toMatch(/admin|root|acme|other/);
      }
    });

    test("a request with two keys is denied, even if they are the same", async () => {
      const twice = await send({ path: "/a/x", headers: { "x-api-key": [key.api_key, key.api_key] } }, which);
      expect([twice.status, reason(twice)]).toEqual([400, "credential_ambiguous"]);
      const joined = { authorization: [`Bearer ${key.api_key}`, `Bearer ${key.api_key}`] };
      const both = await send({ path: "/a/x", headers: { ...bearer(), "x-api-key": key.api_key } }, which);
      expect([both.status, reason(both)]).toEqual([400, "credential_ambiguous"]);
      // Node does not send a second Authorization line; Envoy would join them into this value.
      const line = await send(
        { path: "/a/x", headers: { authorization: joined.authorization.join(",") } },
        which,
      );
      expect([line.status, reason(line)]).toEqual([400, "credential_ambiguous"]);
    });

    test("no path bypasses a route", async () => {
      const paths = [
        "/open/../secret/x",
        "/open/%2e%2e/secret/x",
        "/open/..%2fsecret/x",
        "/open/..;/secret/x",
      ];
      for (const path of [
        ...paths,
        "/open/%2e%2e;x/secret/x",
        "//secret/x",
        "/secret%2fx",
        "/open/..\\secret",
      ]) {
        const before = upstream.requests.length;
        const answer = await send({ path }, which);
        const passed = upstream.requests.length > before ? lastSeen().url : undefined;
        expect([path, answer.status === 400 || answer.status === 401, passed]).toEqual([
          path,
          true,
          undefined,
        ]);
      }
    });

    test("path headers of other proxies are ignored", async () => {
      const headers = {
        "x-original-url": "/open/x",
        "x-rewrite-url": "/open/x",
        "x-envoy-original-path": "/open/x",
      };
      const answer = await send({ path: "/secret/x", headers }, which);
      expect([answer.status, reason(answer)]).toEqual([401, "credential_missing"]);
    });

    test("a key in the query or in a cookie is valid and does not reach the upstream", async () => {
      const inQuery = await send({ path: `/a/x?page=2&api_key=${key.api_key}&size=3` }, which);
      expect(inQuery.status).toBe(200);
      expect(lastSeen().url).toBe("/a/x?page=2&size=3");
      expect(inQuery.headers["cache-control"]).toBe("private");
      const inCookie = await send(
        { path: "/a/x", headers: { cookie: `theme=dark; sid=${key.api_key}; lang=de` } },
        which,
      );
      expect(inCookie.status).toBe(200);
      expect(lastSeen().headers.get("cookie")).toBe("theme=dark; lang=de");
      await send({ path: "/a/x", headers: { cookie: `sid=${key.api_key}` } }, which);
      expect(lastSeen().headers.has("cookie")).toBe(false);
    });
  });

  test("a denied HEAD has all headers and no body", async () => {
    const answer = await send({ method: "HEAD", path: "/a/x" });
    expect([answer.status, reason(answer), answer.body]).toEqual([401, "credential_missing", ""]);
    expect((await send({ method: "HEAD", path: "/a/x", headers: bearer() })).status).toBe(200);
  });

  test("a WebSocket is authorized before it opens", async () => {
    const upgrade = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    expect(reason(await send({ path: "/a/socket", headers: upgrade }))).toBe("credential_missing");
    const before = upstream.requests.length;
    await send({ path: "/a/socket", headers: { ...upgrade, ...bearer() } });
    expect(upstream.requests.length).toBe(before + 1);
    expect(lastSeen().headers.get("upgrade")).toBe("websocket");
  });

  test("a preflight passes without a key and without an identity if the policy allows it", async () => {
    const preflight = { origin: "https://a.example", "access-control-request-method": "POST" };
    const answer = await send({
      method: "OPTIONS",
      path: "/a/x",
      headers: { ...preflight, "x-latchkey-role": "admin" },
    });
    expect(answer.status).toBe(200);
    expect(lastSeen().ours.map(([name]) => name)).toEqual(["x-latchkey-decision-id"]);
    expect((await send({ method: "OPTIONS", path: "/a/x" })).status).toBe(401);
  });

  test("a denied gRPC call gets a gRPC status, a short message and our reason", async () => {
    const grpc = { "content-type": "application/grpc" };
    const missing = await sendGrpc(envoys.careful.port, "/a/Service/Call", grpc);
    expect(missing).toMatchObject({
      ":status": "200",
      "grpc-status": "16",
      "x-latchkey-reason": "credential_missing",
    });
    expect(decodeURIComponent(missing["grpc-message"] ?? "")).toBe("An API key is required.");
    const tight = await registerKey(latchkey.http, "tight");
    const spend = { ...grpc, authorization: `Bearer ${tight.api_key}` };
    await sendGrpc(envoys.careful.port, "/a/Service/Call", spend);
    const limited = await sendGrpc(envoys.careful.port, "/a/Service/Call", spend);
    expect(limited).toMatchObject({ "grpc-status": "8", "x-latchkey-reason": "rate_limited" });
    expect(Number(limited["retry-after"])).toBeGreaterThan(0);
  });

  test("in shadow mode every decision lets the request through, with the key and without our headers", async () => {
    const headers = { ...bearer(), "x-latchkey-role": "admin" };
    const good = await send({ path: "/trial/x", headers });
    expect([good.status, good.headers["ratelimit"]]).toEqual([200, undefined]);
    expect(lastSeen().ours).toEqual([]);
    // The upstream's own check continues as before, so it still gets the key.
    expect(lastSeen().headers.get("authorization")).toBe(bearer().authorization);
    const bad = await send({ path: "/trial/x", headers: { "x-api-key": "none" } });
    expect([bad.status, lastSeen().headers.get("x-api-key")]).toEqual([200, "none"]);
    const metrics = await (await fetch(`http://${latchkey.ops}/metrics`)).text();
    expect(metrics).toMatch(
      /reason="credential_invalid",role="none",route="\/trial\/\*\*",mode="shadow"\} 1/,
    );
    expect(metrics).toMatch(/reason="allowed",role="basic",route="\/trial\/\*\*",mode="shadow"\} 1/);
  });

  test("a key that may not be refreshed yet gets no refresh header", async () => {
    const answer = await send({ path: "/a/x", headers: bearer() });
    // With a lifetime of one day, the refresh begins after half a day at the earliest.
    expect(answer.headers["x-latchkey-refresh"]).toBeUndefined();
    expect(answer.headers["ratelimit"]).toMatch(/^"n";r=\d+$/);
  });
}

/** The example sends cookies to no policy: they stay in Envoy unless a cookie may contain a key. */
function lettingCookiesThrough(
  bootstrap: Parameters<NonNullable<Parameters<typeof startEnvoy>[0]["edit"]>>[0],
) {
  bootstrap.addIn([...EXT_AUTHZ, "allowed_headers", "patterns"], { exact: "cookie", ignore_case: true });
  bootstrap.setIn(
    [...EXT_AUTHZ, "decoder_header_mutation_rules", "allow_expression", "regex"],
    "x[-_]latchkey[-_].*|authorization|x[-_]api[-_]key|cookie",
  );
}
