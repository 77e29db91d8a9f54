import { expect, test } from "vitest";
import { encodeCheckRequest } from "../../scripts/protobuf.ts";
import { DENY_REASONS } from "../../src/core/decision/decision.ts";
import { normalisePath } from "../../src/core/decision/path.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import type { Policy } from "../../src/core/policy/policy.ts";
import type { Route } from "../../src/core/policy/route-table.ts";
import { createMetrics } from "../../src/telemetry/metrics/metrics.ts";
import { parsedPolicy } from "../support/parsed-policy.ts";
import { CHECKED_AT_SECONDS, realCheck } from "../support/real-check.ts";

const DAY = 86_400;
const DISTINCT = 10_000;

function newMetrics(nowSeconds = () => CHECKED_AT_SECONDS) {
  const metrics = createMetrics({
    version: "1",
    nowMs: () => nowSeconds() * 1000,
    outputDropped: () => 0,
  });
  metrics.observe({ phase: () => "active", stalenessMs: () => 0 });
  return metrics;
}

/** The names and labels of all series, without their values. */
async function seriesOf(metrics: ReturnType<typeof newMetrics>): Promise<string[]> {
  const { text } = await metrics.read();
  const lines = text.split("\n").filter((line) => line.startsWith("latchkey_"));
  return lines.map((line) => line.slice(0, line.lastIndexOf(" "))).sort();
}

async function readValue(metrics: ReturnType<typeof newMetrics>, series: string): Promise<number> {
  const { text } = await metrics.read();
  const line = text.split("\n").find((found) => found.startsWith(`${series} `));
  return Number(line?.slice(series.length));
}

function recordOf(role: string, number: number, about: Partial<KeyRecord> = {}): KeyRecord {
  const id = String(number).padStart(22, "0");
  return {
    keyId: `${role}_${CHECKED_AT_SECONDS}_${id}`,
    family: `fam_${id}`,
    familyStartedAt: CHECKED_AT_SECONDS,
    role,
    scopes: ["notes:read"],
    name: `name ${number}`,
    issuedAt: CHECKED_AT_SECONDS,
    expiresAt: CHECKED_AT_SECONDS + DAY,
    refreshAfter: CHECKED_AT_SECONDS + DAY / 2,
    selfService: false,
    disabled: false,
    version: 1,
    ...about,
  };
}

function routeOf(policy: Policy, path: string): Route {
  const normal = normalisePath(path, "reject");
  const route = normal.ok ? policy.routes.find({ path: normal.value, host: "", method: "GET" }) : undefined;
  if (route === undefined) throw new Error(`no route for ${path}`);
  return route;
}

test("10,000 distinct keys, roles, paths, methods, hosts, kids, tokens and addresses do not change the number of series", async () => {
  const metrics = newMetrics();
  const { check, policy, faults, signer } = await realCheck({ decided: metrics.countDecision });
  metrics.policyInForce(policy);
  const ask = async (number: number, token: string, method: string, path: string) => {
    const http = { method, path, host: `h${number}.example.com`, scheme: "https" };
    const headers = { authorization: `Bearer ${token}` };
    const source = { address: { socket_address: { address: `10.0.${number >> 8}.${number & 255}` } } };
    await check(
      encodeCheckRequest({ attributes: { source, request: { http: { ...http, headers } } } }),
      1000,
    );
  };
  const askAll = async (number: number) => {
    const kid = Buffer.from(`{"typ":"JWT","alg":"HS256","kid":"k${number}"}`).toString("base64url");
    // One in ten is signed, because signing is slow.
    if (number % 10 === 0) {
      await ask(number, await signer.sign(recordOf("reader", number)), "GET", `/notes/${number}`);
      await ask(number, await signer.sign(recordOf(`role${number}`, number)), "GET", `/notes/${number}`);
    }
    await ask(number, `${kid}.e30.c2ln`, `M${number}`, `/any/${number}`);
    await ask(number, `garbage-${number}`, "GET", `/notes/drafts/${number}`);
    await ask(number, `lk1_${number}`, "POST", `/notes/..;${number}`);
    await ask(number, "", "GET", `/public/${number}`);
    metrics.keys.refreshed(`role${number}`, "refresh_too_early");
    metrics.keys.issued(`role${number}`, "registered");
  };
  await askAll(0);
  const before = await seriesOf(metrics);
  for (let number = 1; number <= DISTINCT; number++) await askAll(number);
  expect(await seriesOf(metrics)).toEqual(before);
  expect(faults).toEqual([]);
  expect(before.filter((series) => series.includes('role="other"')).length).toBeGreaterThan(0);
  const allowed = 'latchkey_decisions_total{verdict="allow",reason="allowed",role="reader",route=';
  expect(before.filter((series) => series.startsWith(allowed))).toHaveLength(1);
});

test("after a hundred policies with different routes and roles, only the last one's series remain", async () => {
  const metrics = newMetrics();
  const { check } = await realCheck({ decided: metrics.countDecision });
  for (let number = 0; number < 100; number++) {
    const policy = parsedPolicy(
      `roles: { r${number}: { scopes: [a], ttl: 1d, refresh_window: 1h } }\nroutes: [{ path: /p${number}/**, scopes: [a] }]`,
    );
    metrics.policyInForce(policy);
    const route = routeOf(policy, `/p${number}/x`);
    const refused = { verdict: "deny", reason: "scope_missing", route } as const;
    metrics.countDecision(refused, { elapsedNs: 1n, mode: "enforce" });
    await check(encodeCheckRequest({}), 1000);
  }
  const series = await seriesOf(metrics);
  const none = series.filter((name) => name.includes('role="none",route="none"'));
  expect(none).toHaveLength(DENY_REASONS.length);
  const others = series.filter((name) => name.startsWith("latchkey_decisions_total") && !none.includes(name));
  expect(others).toEqual([
    'latchkey_decisions_total{verdict="deny",reason="scope_missing",role="none",route="/p99/**",mode="enforce"}',
  ]);
  expect(series.filter((name) => /policy_info|keys_ending/.test(name))).toHaveLength(2);
});

test("keys in use count as ending in the last quarter of their refresh window, until their expiry or an hour without use", async () => {
  let nowSeconds = CHECKED_AT_SECONDS;
  const metrics = newMetrics(() => nowSeconds);
  const { policy } = await realCheck();
  metrics.policyInForce(policy);
  const route = routeOf(policy, "/whoami");
  const use = (record: KeyRecord) =>
    metrics.countDecision(
      {
        verdict: "allow",
        reason: "allowed",
        route,
        principal: record,
        scopes: [],
        rates: [],
        refreshDue: false,
      },
      { elapsedNs: 1n, mode: "enforce" },
    );
  const ending = () => readValue(metrics, 'latchkey_keys_ending{role="reader"}');
  const key = recordOf("reader", 1);
  nowSeconds = key.expiresAt - DAY / 8 - 1;
  use(key);
  expect(await ending()).toBe(0);
  nowSeconds += 1;
  use(key);
  use(key);
  use(recordOf("reader", 2));
  expect(await ending()).toBe(2);
  nowSeconds += 3600;
  use(key);
  nowSeconds += 1;
  expect(await ending()).toBe(1);
  nowSeconds = key.expiresAt;
  expect(await ending()).toBe(0);
});
