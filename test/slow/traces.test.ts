import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { ReceivedSpan } from "../support/otlp.ts";
import { startReceiver } from "../support/otlp.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const CHECK = "envoy.service.auth.v3.Authorization/Check";
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

describe("with a collector", () => {
  let receiver: Awaited<ReturnType<typeof startReceiver>>;
  let latchkey: Awaited<ReturnType<typeof startLatchkey>>;
  let envoy: Awaited<ReturnType<typeof startEnvoy>>;
  let upstream: Awaited<ReturnType<typeof startUpstream>>;
  let key: { readonly api_key: string; readonly key_id: string };

  beforeAll(async () => {
    [receiver, upstream] = await Promise.all([startReceiver(), startUpstream()]);
    latchkey = await startLatchkey({
      ADMIN_TOKEN,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=a%20b",
      AUTH_LISTEN: "127.0.0.1:0",
    });
    envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
    key = await createClient({ url: `http://${latchkey.http}` }).register({ name: "n", key_type: "basic" });
  });
  afterAll(() => Promise.all([envoy.stop(), latchkey.stop(), upstream.stop(), receiver.stop()]));

  const ask = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${envoy.port}${path}`, { headers });
  const authorization = () => ({ authorization: `Bearer ${key.api_key}` });
  /** The one matching span, once it has arrived. */
  const spanWhere = async (fits: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> => {
    await expect.poll(() => receiver.spans.filter(fits).length).toBe(1);
    return receiver.spans.find(fits) ?? expect.fail("it was there");
  };

  test("a Check is a span of the checked request's trace, with its decision", async () => {
    const traceparent = `00-${TRACE}-${PARENT}-01`;
    expect((await ask("/v1/chat/x", { ...authorization(), traceparent })).status).toBe(200);
    const refused = await ask("/v1/nodes/x", { ...authorization(), traceparent });
    expect(refused.status).toBe(403);
    const allowed = await spanWhere(
      ({ traceId, attributes }) => traceId === TRACE && attributes["latchkey.reason"] === "allowed",
    );
    expect(allowed).toMatchObject({
      name: CHECK,
      kind: 2,
      parentSpanId: PARENT,
      attributes: {
        "latchkey.verdict": "allow",
        "latchkey.route": "/v1/chat/**",
        "latchkey.role": "basic",
        "latchkey.mode": "enforce",
      },
      resource: { "service.name": "latchkey", "service.version": expect.any(String) },
    });
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    expect(allowed.endTimeUnixNano).toBeGreaterThan(allowed.startTimeUnixNano);
    expect(nowNs - allowed.startTimeUnixNano).toBeLessThan(60_000_000_000n);
    const denied = await spanWhere(({ attributes }) => attributes["latchkey.reason"] === "route_unknown");
    expect(denied).toMatchObject({
      traceId: TRACE,
      parentSpanId: PARENT,
      attributes: { "latchkey.decision_id": refused.headers.get("x-latchkey-decision-id") },
    });
    expect(denied.status?.code ?? 0).toBe(0);
  });

  test("a call of another proxy is a span of the request's trace, named by its form", async () => {
    const call = async (at: string, method: string, prefix: string, uri: string, traceId: string) => {
      const headers = {
        ...authorization(),
        traceparent: `00-${traceId}-${PARENT}-01`,
        ...{ [`x-${prefix}-method`]: "GET", [`x-${prefix}-host`]: "a", [`x-${prefix}-proto`]: "http" },
        ...{ [`x-${prefix}-uri`]: uri, [`x-${prefix}-for`]: "192.0.2.1" },
      };
      return (await fetch(`http://${latchkey.auth}${at}`, { method, headers })).status;
    };
    for (const [digit, at, method, prefix, name] of [
      ["5", "/forward", "GET", "forwarded", "GET /forward"],
      ["6", "/original?deny=403", "GET", "original", "GET /original"],
      ["7", "/envoy/v1/chat/x?secret=1", "POST", "forwarded", "POST /envoy/{path}"],
    ] as const) {
      const traceId = digit.repeat(32);
      expect([at, await call(at, method, prefix, "/v1/chat/x", traceId)]).toEqual([at, 200]);
      const span = await spanWhere((each) => each.traceId === traceId);
      expect([span.name, span.attributes["latchkey.verdict"]]).toEqual([name, "allow"]);
    }
    // Nothing of such a call is read, its trace included.
    expect(await call("/elsewhere", "GET", "forwarded", "/v1/chat/x", "8".repeat(32))).toBe(400);
    const { name } = await spanWhere(
      ({ attributes }) => attributes["latchkey.reason"] === "request_malformed",
    );
    expect(name).toBe("GET");
  });

  test("an undecodable request continues its trace too", async () => {
    const traceId = "1".repeat(32);
    expect((await ask("/a%00b;x", { traceparent: `00-${traceId}-${PARENT}-01` })).status).toBe(400);
    expect((await ask("/a;b=1", { traceparent: `00-${traceId}-${PARENT}-01` })).status).toBe(400);
    const { attributes } = await spanWhere((span) => span.traceId === traceId);
    expect(attributes).toMatchObject({ "latchkey.reason": "request_malformed" });
  });

  test("an unsampled trace stays unsampled, and an invalid traceparent begins a new trace", async () => {
    const unsampled = "2".repeat(32);
    await ask("/v1/chat/unsampled", { ...authorization(), traceparent: `00-${unsampled}-${PARENT}-00` });
    const before = receiver.spans.length;
    const bad = ["00-xyz-1-01", `ff-${TRACE}-${PARENT}-01`, `00-${"0".repeat(32)}-${PARENT}-01`];
    for (const traceparent of bad) await ask("/public/x", { traceparent });
    await expect
      .poll(
        () =>
          receiver.spans
            .slice(before)
            .filter(({ attributes }) => attributes["latchkey.route"] === "/public/**").length,
      )
      .toBe(bad.length);
    const own = receiver.spans.filter(({ attributes }) => attributes["latchkey.route"] === "/public/**");
    expect(new Set(own.map(({ traceId }) => traceId)).size).toBe(bad.length);
    expect(own.every(({ parentSpanId }) => parentSpanId === undefined)).toBe(true);
    expect(receiver.spans.filter(({ traceId }) => traceId === unsampled)).toEqual([]);
  });

  test("a call at an HTTP listener is a span, named by its endpoint", async () => {
    const traceId = "3".repeat(32);
    const answer = await fetch(`http://${latchkey.operator}/api/admin/keys/${key.key_id}`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, traceparent: `00-${traceId}-${PARENT}-01` },
    });
    expect(answer.status).toBe(200);
    expect(await spanWhere((span) => span.traceId === traceId)).toMatchObject({
      name: "GET /api/admin/keys/{key_id}",
      kind: 2,
      parentSpanId: PARENT,
      attributes: {
        "http.request.method": "GET",
        "http.route": "/api/admin/keys/{key_id}",
        "http.response.status_code": "200",
        "latchkey.request_id": expect.stringMatching(/^[0-9a-f-]{36}$/),
      },
    });
    const nowhere = "4".repeat(32);
    await fetch(`http://${latchkey.http}/${key.api_key}`, {
      headers: { traceparent: `00-${nowhere}-${PARENT}-01` },
    });
    expect(await spanWhere((span) => span.traceId === nowhere)).toMatchObject({
      name: "GET",
      attributes: { "http.response.status_code": "404" },
    });
  });

  test("the collector gets its headers, and no key, key id, token or path", () => {
    const raw = receiver.raw();
    expect(raw).toContain('"x-tenant":"a b"');
    for (const secret of [key.api_key, key.key_id, ADMIN_TOKEN, "/v1/chat/x", "/v1/nodes/x", "127.0.0.1,"])
      expect(raw).not.toContain(secret);
  });
});

test("a failing collector is logged once, and so is its recovery; pending spans are sent at shutdown", async () => {
  let status = 400;
  const receiver = await startReceiver({ status: () => status });
  const latchkey = await startLatchkey({ ADMIN_TOKEN, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  const call = (headers: Readonly<Record<string, string>> = {}) =>
    fetch(`http://${latchkey.http}/api/auth/v2/validate`, { headers });
  const said = (words: string) => expect.poll(() => latchkey.output()).toContain(words);
  expect((await call()).status).toBe(401);
  await said("traces do not reach the collector");
  await call();
  status = 200;
  await call();
  await said("traces reach the collector again");
  await call({ traceparent: `00-${TRACE}-${PARENT}-01` });
  await latchkey.stop();
  expect(receiver.spans.filter(({ traceId }) => traceId === TRACE)).toHaveLength(1);
  expect(latchkey.output().match(/traces do not reach/g)).toHaveLength(1);
  await receiver.stop();
});

test("without the tracing packages, an instance with tracing enabled explains in one sentence what to do and does not start", async () => {
  // As with `npm install --omit=optional`; only the API package is present, through prom-client.
  const hook =
    'import{registerHooks}from"node:module";registerHooks({resolve(s,c,n){if(/^@opentelemetry.(?!api)/.test(s))throw Object.assign(new Error(s),{code:"ERR_MODULE_NOT_FOUND"});return n(s,c)}})';
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(hook)}`;
  const traced = startLatchkey({ NODE_OPTIONS, OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" });
  await expect(traced).rejects.toThrow(
    /OpenTelemetry's packages are not installed: install without --omit=optional/,
  );
  const untraced = await startLatchkey({ NODE_OPTIONS });
  await untraced.stop();
});
