import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";

const OPEN_CALLS = 8;
const ENV = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret(), HTTP_TRUSTED_HOPS: "1" };
const POLICY = `
roles:
  basic: { scopes: [chat:read], ttl: 1d, refresh_window: 1h, self_service: true }
routes: []
guards: { open_calls: ${OPEN_CALLS}/h }
`;

let latchkey: TestedLatchkey;
let admin: LatchkeyClient;
let addresses = 0;

beforeAll(async () => {
  latchkey = await startLatchkey(ENV, { policy: POLICY });
  admin = createClient({ url: `http://${latchkey.operator}`, token: ENV.ADMIN_TOKEN });
});

afterAll(async () => {
  await latchkey?.stop();
});

/** A client address that has made no call yet. */
function newAddress(): string {
  addresses++;
  return `10.0.${addresses >> 8}.${addresses & 255}`;
}

interface Sent {
  readonly method?: string;
  readonly token?: string;
  readonly body?: object | string;
  readonly address?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

async function send(path: string, { method, token, body, address = newAddress(), headers }: Sent) {
  const type = typeof body === "string" ? "application/x-ndjson" : "application/json";
  const response = await fetch(`http://${latchkey.http}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      "x-forwarded-for": address,
      ...(body !== undefined && { "content-type": type }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  await response.text();
  return response.status;
}

let listings = 0;

/** How often this command of the store was called. The metrics text may be cached, so waits until it counts our own listing. */
async function callsOfStore(command: string): Promise<number> {
  const seriesOf = (name: string) => `latchkey_store_command_duration_seconds_count{command="${name}"}`;
  await admin.keys.list({ limit: 1 });
  listings++;
  let metrics: ReadonlyMap<string, number> = new Map();
  const listingsCounted = async () => {
    metrics = await readMetrics(latchkey.ops);
    return metrics.get(seriesOf("page"));
  };
  await expect.poll(listingsCounted, { interval: 20 }).toBe(listings);
  return metrics.get(seriesOf(command)) ?? 0;
}

/** The number of writes so far: commits of the registry and audit events. */
async function written() {
  const { events } = await admin.audit({ limit: 500 });
  return { commits: await callsOfStore("commit"), events: events.length };
}

const basic = { name: "x", key_type: "basic" };

describe("a call that changes nothing writes nothing: no transaction and no event", () => {
  const operator = (path: string, sent: Sent) => send(path, { token: ENV.ADMIN_TOKEN, ...sent });
  const cases: readonly (readonly [
    what: string,
    status: number,
    prepare: () => Promise<() => Promise<number>>,
  ])[] = [
    [
      "revoking the presented key",
      204,
      async () => {
        const { api_key } = await admin.register(basic);
        return () => send("/api/auth/v2/revoke", { body: { current_key: api_key } });
      },
    ],
    [
      "refreshing a key that has already been refreshed",
      409,
      async () => {
        const { api_key, key_id } = await admin.register(basic);
        await admin.keys.rotate(key_id);
        const address = newAddress();
        return () => send("/api/auth/v2/refresh", { body: { current_key: api_key }, address });
      },
    ],
    [
      "rotating a key that has already been rotated",
      409,
      async () => {
        const { key_id } = await admin.register(basic);
        await admin.keys.rotate(key_id);
        const address = newAddress();
        return () => operator(`/api/admin/keys/${key_id}/rotate`, { body: {}, address });
      },
    ],
    [
      "exchanging a V1 key",
      201,
      async () => {
        const { api_key } = await admin.registerLegacy(basic);
        return () => send("/api/auth/v2/migrate", { body: { legacy_key: api_key } });
      },
    ],
    [
      "registering with the same Idempotency-Key",
      201,
      async () => {
        const headers = { "idempotency-key": randomUUID() };
        return () => operator("/api/auth/v2/register", { body: basic, headers });
      },
    ],
    [
      "revoking a key",
      204,
      async () => {
        const { key_id } = await admin.register(basic);
        return () => operator(`/api/admin/keys/${key_id}`, { method: "DELETE" });
      },
    ],
    [
      "revoking a family",
      204,
      async () => {
        const { key_id } = await admin.register(basic);
        const { family } = await admin.keys.show(key_id);
        return () => operator(`/api/admin/families/${family}`, { method: "DELETE" });
      },
    ],
    [
      "revoking keys that were issued before a time",
      204,
      async () => {
        const body = { before: "2020-01-01T00:00:00Z", role: "basic" };
        return () => operator("/api/admin/revoke-issued-before", { body });
      },
    ],
    [
      "changing a key to its current values",
      200,
      async () => {
        const { key_id } = await admin.register(basic);
        const body = { name: "y", metadata: { a: 1 }, disabled: true };
        return () => operator(`/api/admin/keys/${key_id}`, { method: "PATCH", body });
      },
    ],
    [
      "importing an existing key",
      200,
      async () => {
        const lines = JSON.stringify({ api_key: `imported-${randomUUID()}`, name: "x", role: "basic" });
        return () => operator("/api/admin/keys:import", { body: lines });
      },
    ],
  ];

  test.each(cases)("repeated: %s", async (_what, status, prepare) => {
    const call = await prepare();
    expect(await call()).toBe(status);
    const before = await written();
    for (let repeat = 0; repeat < 3; repeat++) expect(await call()).toBe(status);
    expect(await written()).toEqual(before);
  });

  test("choosing the current phase again makes no event: it writes only the time of the choice", async () => {
    const choose = () => operator("/api/admin/migration", { method: "PUT", body: { phase: "gradual" } });
    expect(await choose()).toBe(200);
    const { events } = await written();
    expect(await choose()).toBe(200);
    expect((await written()).events).toBe(events);
  });
});

test("a second refresh is audited once per client address", async () => {
  const { api_key, key_id } = await admin.register(basic);
  await admin.keys.rotate(key_id);
  const [holder, thief] = [newAddress(), newAddress()];
  for (const address of [holder, holder, thief, thief])
    expect(await send("/api/auth/v2/refresh", { body: { current_key: api_key }, address })).toBe(409);
  const { events } = await admin.audit({ key_id, event: "key_refreshed", outcome: "refused" });
  expect(events.map(({ address, reason }) => [address, reason])).toEqual([
    [holder, "already_refreshed"],
    [thief, "already_refreshed"],
  ]);
});

describe("invented V1 keys reach the store no more often than other unauthenticated calls", () => {
  const inventedKey = () => `x${newSecret()}`;
  const calls: readonly (readonly [call: string, send: (address: string) => Promise<number>])[] = [
    ["migrate", (address) => send("/api/auth/v2/migrate", { body: { legacy_key: inventedKey() }, address })],
    ["refresh", (address) => send("/api/auth/v2/refresh", { body: { current_key: inventedKey() }, address })],
    ["revoke", (address) => send("/api/auth/v2/revoke", { body: { current_key: inventedKey() }, address })],
    ["validate", (address) => send("/api/auth/v2/validate", { token: inventedKey(), address })],
    [
      "validate by X-API-Key",
      (address) => send("/api/auth/v2/validate", { headers: { "x-api-key": inventedKey() }, address }),
    ],
    ["register", (address) => send("/api/auth/v2/register", { body: basic, token: inventedKey(), address })],
    [
      "register_api_key",
      (address) => send("/api/auth/register_api_key", { body: basic, token: inventedKey(), address }),
    ],
    [
      "introspect",
      (address) => send("/api/auth/v2/introspect", { body: "token=x", token: inventedKey(), address }),
    ],
    ["show roles", (address) => send("/api/admin/roles", { token: inventedKey(), address })],
    [
      "revoke a key",
      (address) => send("/api/admin/keys/x", { method: "DELETE", token: inventedKey(), address }),
    ],
  ];

  test.each(calls)("%s", async (_call, sendOne) => {
    const address = newAddress();
    const before = await callsOfStore("findLegacy");
    const statuses = await Promise.all(Array.from({ length: 4 * OPEN_CALLS }, () => sendOne(address)));
    expect((await callsOfStore("findLegacy")) - before).toBeLessThanOrEqual(OPEN_CALLS);
    expect(statuses.filter((status) => status === 429)).toHaveLength(3 * OPEN_CALLS);
    expect(statuses.filter((status) => status === 401)).toHaveLength(OPEN_CALLS);
  });

  test("a valid V1 key is served meanwhile: from other addresses, and from the same address once it is cached", async () => {
    const { api_key } = await admin.registerLegacy(basic);
    const [flooded, elsewhere] = [newAddress(), newAddress()];
    const validate = (token: string, address: string) => send("/api/auth/v2/validate", { token, address });
    for (let sent = 0; sent <= OPEN_CALLS; sent++) await validate(inventedKey(), flooded);
    expect(await validate(inventedKey(), flooded)).toBe(429);
    expect(await validate(api_key, elsewhere)).toBe(200);
    expect(await validate(api_key, flooded)).toBe(200);
  });

  test("the look-up of a valid key is not charged: one address can validate any number of them", async () => {
    const address = newAddress();
    const lines = Array.from({ length: 3 * OPEN_CALLS }, (_, at) => ({
      api_key: `valid-${at}-${randomUUID()}`,
      name: "x",
      role: "basic",
    }));
    await admin.keys.import(lines.map((line) => JSON.stringify(line)).join("\n"));
    for (const { api_key: token } of lines)
      expect(await send("/api/auth/v2/validate", { token, address })).toBe(200);
  });

  test("an admin token is not looked up in the store", async () => {
    const before = await callsOfStore("findLegacy");
    const address = newAddress();
    for (let sent = 0; sent < 2 * OPEN_CALLS; sent++)
      expect(await send("/api/admin/roles", { token: ENV.ADMIN_TOKEN, address })).toBe(200);
    expect(await callsOfStore("findLegacy")).toBe(before);
  });
});
