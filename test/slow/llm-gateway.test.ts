import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { createClient } from "../../src/client/client.ts";
import { startExample } from "../support/envoy.ts";
import type { IssuedKey } from "../support/keys.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { LlmAnswer, LlmUpstream } from "../support/llm-upstream.ts";
import { startLlmUpstream } from "../support/llm-upstream.ts";
import { awayFromMidnight } from "../support/midnight.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const POLICY = readFileSync(new URL("../../envoy/llm-gateway.policy.yaml", import.meta.url), "utf8");
const ADMIN_TOKEN = newSecret();
const WAIT = { timeout: 60_000, interval: 100 };
/** What the example's policy reserves, and what its Envoy charges if the upstream reports nothing that can be used. */
const FALLBACK = 4000;
const QUOTA = 100_000;

let redis: TestedRedis;
let upstream: LlmUpstream;
/** Envoy sends Checks and charges to both in turn. */
let fleet: readonly TestedLatchkey[];
let envoy: EnvoyProcess;

beforeAll(async () => {
  await awayFromMidnight(90_000);
  [redis, upstream] = await Promise.all([startRedis(), startLlmUpstream()]);
  const env = {
    ADMIN_TOKEN,
    JWT_SECRET: newSecret(),
    KEY_HASH_SECRET: newSecret(),
    REDIS_URL: redis.url,
    AUDIT_FILE: "off",
  };
  fleet = await Promise.all([startLatchkey(env, { policy: POLICY }), startLatchkey(env, { policy: POLICY })]);
  envoy = await startExample("llm-gateway", {
    clusters: { latchkey: fleet.map(({ grpc }) => grpc), upstream: [`127.0.0.1:${upstream.port}`] },
  });
});

afterAll(async () => {
  await envoy?.stop();
  await Promise.all((fleet ?? []).map((each) => each.stop()));
  await Promise.all([redis?.stop(), upstream?.stop()]);
});

const first = () => fleet[0] ?? expect.fail("an instance");
const admin = () => createClient({ url: `http://${first().operator}`, token: ADMIN_TOKEN });
const newKey = () => registerKey(first().http);

function ask(path: string, key: IssuedKey | undefined, answer: LlmAnswer, init: RequestInit = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(answer)) query.set(name, String(value));
  const headers = key === undefined ? {} : { authorization: `Bearer ${key.api_key}` };
  return fetch(`http://127.0.0.1:${envoy.port}${path}?${query}`, { method: "POST", headers, ...init });
}
const complete = (key: IssuedKey | undefined, answer: LlmAnswer, init: RequestInit = {}) =>
  ask("/v1/chat/completions", key, answer, init);

async function usedBy({ key_id }: IssuedKey): Promise<number> {
  const { quotas } = await admin().limits.show(key_id);
  const [daily] = quotas.filter(({ name }) => name === "llm-daily");
  return (daily?.used ?? Number.NaN) + (daily?.leased ?? Number.NaN);
}

/** The metric of charges, over the fleet. */
async function charges(result: string): Promise<number> {
  let sum = 0;
  for (const { ops } of fleet) {
    const metrics = await (await fetch(`http://${ops}/metrics`)).text();
    const found = new RegExp(`latchkey_charges_total\\{unit="llm_tokens",result="${result}"\\} (\\d+)`).exec(
      metrics,
    );
    sum += Number(found?.[1] ?? 0);
  }
  return sum;
}

async function settles(key: IssuedKey, used: number): Promise<void> {
  await vi.waitFor(async () => expect(await usedBy(key)).toBe(used), WAIT);
}

describe("a completion is charged for what the upstream reports", () => {
  test.each<[string, LlmAnswer, number]>([
    ["in a header", { as: "header", tokens: "123" }, 123],
    ["in a JSON body", { as: "json", tokens: "250" }, 250],
    ["in a JSON body of 300 KB", { as: "json", tokens: "251", text: 300_000 }, 251],
    ["in the last event of a stream", { as: "stream", tokens: "777" }, 777],
    ["in a long stream", { as: "stream", tokens: "778", text: 60_000 }, 778],
    ["as more than it has reserved", { as: "json", tokens: "9000" }, 9000],
    ["as nothing", { as: "json", tokens: "0" }, 0],
    ["as a fraction, without its part of a token", { as: "header", tokens: "12.7" }, 12],
    ["with an error of the upstream", { as: "json", tokens: "50", status: 500 }, 50],
  ])("%s", async (_how, answer, used) => {
    const key = await newKey();
    const response = await complete(key, answer);
    const body = await response.text();
    expect([response.status, response.headers.get("x-usage-tokens")]).toEqual([answer.status ?? 200, null]);
    expect(body.length).toBeGreaterThanOrEqual(answer.text ?? 10);
    await settles(key, used);
  });

  test("and an error that reports nothing costs nothing", async () => {
    const key = await newKey();
    await (await complete(key, { as: "json", status: 429 })).text();
    await settles(key, 0);
  });
});

describe("an upstream that reports what cannot be used is charged at the fallback", () => {
  test.each<[string, LlmAnswer]>([
    ["a negative number in a header", { as: "header", tokens: "-5" }],
    ["a negative number in a body", { as: "json", tokens: "-5" }],
    ["2^63", { as: "header", tokens: String(2n ** 63n) }],
    ["a number above max_charge", { as: "json", tokens: "200001" }],
    ["no number", { as: "header", tokens: "many" }],
    ["NaN", { as: "header", tokens: "nan" }],
    ["infinity", { as: "header", tokens: "inf" }],
    ["a text in a body", { as: "json", tokens: '"many"' }],
    ["a list in a body", { as: "json", tokens: "[1]" }],
    ["no usage in a header", { as: "header" }],
    ["no usage in a body", { as: "json" }],
    ["no usage in a stream", { as: "stream" }],
    ["invalid JSON", { as: "json", tokens: "{" }],
  ])("%s", async (_what, answer) => {
    const key = await newKey();
    const before = await charges("fallback");
    await (await complete(key, answer)).text();
    await vi.waitFor(async () => expect(await charges("fallback")).toBe(before + 1), WAIT);
    await settles(key, FALLBACK);
  });
});

describe("a stream that does not end", () => {
  test("because the client leaves is charged at the fallback", async () => {
    const key = await newKey();
    const before = await charges("fallback");
    const left = new AbortController();
    const response = await complete(key, { as: "silence" }, { signal: left.signal });
    await response.body?.getReader().read();
    left.abort();
    await vi.waitFor(async () => expect(await charges("fallback")).toBe(before + 1), WAIT);
    await settles(key, FALLBACK);
  });

  test("because the upstream resets it is charged at the fallback", async () => {
    const key = await newKey();
    const before = await charges("fallback");
    await (await complete(key, { as: "reset" })).text().catch(() => undefined);
    await vi.waitFor(async () => expect(await charges("fallback")).toBe(before + 1), WAIT);
    await settles(key, FALLBACK);
  });
});

test("parallel completions reserve, so no more are admitted than the quota holds, and their end returns the rest", async () => {
  const key = await newKey();
  const before = upstream.requests();
  const wanted = QUOTA / FALLBACK + 15;
  const responses = await Promise.all(Array.from({ length: wanted }, () => complete(key, { as: "silence" })));
  const admitted = responses.filter(({ status }) => status === 200);
  expect(upstream.requests() - before).toBe(admitted.length);
  expect(admitted.length).toBeLessThanOrEqual(QUOTA / FALLBACK);
  // What an instance has taken ahead, at most 1%, can lack the other one for its last request.
  expect(admitted.length).toBeGreaterThanOrEqual(QUOTA / FALLBACK - 2);
  const denied = responses.find(({ status }) => status !== 200) ?? expect.fail("a denial");
  expect([denied.status, denied.headers.get("x-latchkey-reason")]).toEqual([429, "quota_exceeded"]);
  expect(await denied.json()).toMatchObject({ quota: "llm-daily", limit: QUOTA });
  upstream.release("100");
  await Promise.all(admitted.map((response) => response.text()));
  await settles(key, admitted.length * 100);
  await vi.waitFor(async () => {
    const again = await complete(key, { as: "json", tokens: "1" });
    await again.text();
    expect(again.status).toBe(200);
  }, WAIT);
});

test("a route that only charges is denied once the quota is used up, and so are completions", async () => {
  const key = await newKey();
  for (const tokens of ["60000", "60000"]) {
    const response = await ask("/v1/embeddings", key, { as: "json", tokens });
    await response.text();
    expect(response.status).toBe(200);
  }
  await settles(key, 120_000);
  // The other instance knows it within a second.
  await vi.waitFor(async () => {
    for (let sent = 0; sent < 4; sent++) {
      const response = await ask("/v1/embeddings", key, { as: "json", tokens: "1" });
      await response.text();
      expect(response.headers.get("x-latchkey-reason")).toBe("quota_exceeded");
    }
  }, WAIT);
  const models = await fetch(`http://127.0.0.1:${envoy.port}/v1/models/x`, {
    headers: { authorization: `Bearer ${key.api_key}` },
  });
  expect(models.status).toBe(200);
  await models.text();
  expect((await complete(key, { as: "json", tokens: "1" })).status).toBe(429);
});

test("a request that is denied or needs no key charges nothing, and no ticket reaches upstream or client", async () => {
  const before = upstream.requests();
  const denied = await complete(undefined, { as: "json", tokens: "500" });
  expect([denied.status, upstream.requests()]).toEqual([401, before]);
  const [none, invalid] = [await charges("no_ticket"), await charges("invalid_ticket")];
  const health = await fetch(`http://127.0.0.1:${envoy.port}/healthz?as=header&tokens=500`);
  await health.text();
  const key = await newKey();
  const response = await complete(key, { as: "json", tokens: "5" });
  expect(JSON.stringify([...response.headers, await response.text()])).not.toContain("c1.");
  await settles(key, 5);
  expect([await charges("no_ticket"), await charges("invalid_ticket")]).toEqual([none, invalid]);
});

test("usage and the RateLimit headers show the unit", async () => {
  const key = await newKey();
  const response = await complete(key, { as: "json", tokens: "321" });
  await response.text();
  expect(response.headers.get("ratelimit-policy")).toContain(`"llm-daily";q=${QUOTA}`);
  await settles(key, 321);
  const { family } = await admin().keys.show(key.key_id);
  // An instance stores usage every 10 s.
  await vi.waitFor(async () => {
    let units = 0;
    for await (const row of admin().usage.all({ family })) units += row.units?.["llm_tokens"] ?? 0;
    expect(units).toBe(321);
  }, WAIT);
  const { quotas } = await createClient({ url: `http://${first().http}` }).ownLimits(key.api_key);
  expect(quotas).toEqual([
    expect.objectContaining({ name: "llm-daily", unit: "llm_tokens", limit: QUOTA, used: 321 }),
  ]);
});
