import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import type { DescribedCall } from "../support/call-table.ts";
import { callsOf } from "../support/call-table.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { RawAnswer, RawRequest } from "../support/raw-request.ts";
import { sendRaw } from "../support/raw-request.ts";

const OPEN_CALLS = 3;
const PAGE = "https://page.example";
const ENV = {
  JWT_SECRET: newSecret(),
  ADMIN_TOKEN: newSecret(),
  OPERATOR_LISTEN: "127.0.0.1:0",
  HTTP_TRUSTED_HOPS: "1",
  HTTP_CORS_ORIGINS: PAGE,
};
const POLICY = `
roles:
  basic: { scopes: [chat:read], ttl: 1d, refresh_window: 1h, self_service: true }
  reader: { scopes: [keys:read, audit:read], ttl: 1d, refresh_window: 1h }
  system: { scopes: [system:write], ttl: 1d, refresh_window: 1h }
  writer: { scopes: [keys:write], may_grant: [basic], ttl: 1d, refresh_window: 1h }
routes: []
guards: { open_calls: ${OPEN_CALLS}/h }
`;

let latchkey: TestedLatchkey;
let calls: readonly DescribedCall[];
const keys = new Map<string, string>();
let addresses = 0;

beforeAll(async () => {
  latchkey = await startLatchkey(ENV, { policy: POLICY });
  calls = await callsOf(latchkey.operator);
  for (const role of ["basic", "reader", "system", "writer"])
    keys.set(role, (await registerKey(latchkey.http, role, { token: ENV.ADMIN_TOKEN })).api_key);
});

afterAll(async () => {
  await latchkey?.stop();
});

/** A client address that has made no call yet. */
function newAddress(): string {
  addresses++;
  return `10.${addresses >> 16}.${(addresses >> 8) & 255}.${addresses & 255}`;
}

function portOf(listener: string): number {
  return Number(listener.split(":").at(-1));
}

function credential(caller: string): Readonly<Record<string, string>> {
  if (caller === "unauthenticated") return {};
  return { authorization: `Bearer ${caller === "admin" ? ENV.ADMIN_TOKEN : (keys.get(caller) ?? caller)}` };
}

function send(
  request: RawRequest,
  caller: string,
  address = newAddress(),
  listener = latchkey.operator,
): Promise<RawAnswer> {
  // Without Content-Length, Node sends no body with GET.
  const length =
    request.body === undefined ? {} : { "content-length": String(Buffer.byteLength(request.body)) };
  // A page of the console calls from its own origin.
  const origin = request.path.startsWith("/api/console/") ? { origin: `http://${listener}` } : {};
  const headers = {
    ...{ ...request.headers, ...length, ...origin, ...credential(caller) },
    "x-forwarded-for": address,
  };
  return sendRaw(portOf(listener), { ...request, headers });
}

function nameOf({ method, template }: DescribedCall): string {
  return `${method} ${template}`;
}

test("every call states whether it writes; only these calls read, or change a cookie, with another method than GET", () => {
  expect(calls.length).toBeGreaterThan(25);
  const readingByPost = calls.filter(({ method, writes }) => method !== "GET" && !writes);
  expect(readingByPost.map(nameOf)).toEqual([
    "POST /api/auth/v2/introspect",
    "POST /api/admin/explain",
    "POST /api/console/session",
    "PUT /api/console/session",
  ]);
  expect(calls.filter(({ method, writes }) => method === "GET" && writes)).toEqual([]);
});

describe("every call that writes is charged per client address, with any credential", () => {
  test.each(["unauthenticated", "an invented key", "basic", "reader", "system"])("by %s", async (caller) => {
    for (const call of calls.filter(({ writes }) => writes)) {
      const address = newAddress();
      const statuses: number[] = [];
      for (let sent = 0; sent <= OPEN_CALLS; sent++)
        statuses.push(
          (await send(call, caller === "an invented key" ? `x${newSecret()}` : caller, address)).status,
        );
      expect([nameOf(call), statuses.at(-1), statuses.includes(429)]).toEqual([nameOf(call), 429, true]);
      expect([nameOf(call), statuses.slice(0, OPEN_CALLS).filter((status) => status === 429)]).toEqual([
        nameOf(call),
        [],
      ]);
      expect(call.statuses).toContain("429");
    }
  });

  test("except for callers with keys:write, if the call authenticates its caller", async () => {
    const authenticating = calls.filter(
      ({ writes, template }) => writes && !/v2\/(refresh|revoke|migrate)$/.test(template),
    );
    for (const call of authenticating) {
      for (const caller of ["admin", "writer"]) {
        const address = newAddress();
        for (let sent = 0; sent < OPEN_CALLS + 2; sent++)
          expect([nameOf(call), (await send(call, caller, address)).status]).not.toEqual([nameOf(call), 429]);
      }
    }
  });

  test("a self-service key does not raise the limit: three keys can be registered, no more", async () => {
    const body = JSON.stringify({ name: "x", key_type: "basic" });
    for (const path of ["/api/auth/v2/register", "/api/auth/register_api_key"]) {
      const address = newAddress();
      const statuses: number[] = [];
      for (let sent = 0; sent < 6; sent++)
        statuses.push(
          (
            await send(
              { method: "POST", path, body, headers: { "content-type": "application/json" } },
              "basic",
              address,
            )
          ).status,
        );
      expect(statuses).toEqual([201, 201, 201, 429, 429, 429]);
    }
  });

  test("a denial of a key without operator scopes is charged too, because it writes an audit line", async () => {
    for (const call of calls.filter(({ forOperators }) => forOperators)) {
      const address = newAddress();
      const statuses: number[] = [];
      for (let sent = 0; sent <= OPEN_CALLS; sent++)
        statuses.push((await send(call, "basic", address)).status);
      expect([nameOf(call), statuses]).toEqual([nameOf(call), [403, 403, 403, 429]]);
    }
  });

  test("reading with a valid key is not charged", async () => {
    const address = newAddress();
    for (let sent = 0; sent < OPEN_CALLS + 2; sent++) {
      expect((await send({ path: "/api/auth/v2/validate" }, "basic", address)).status).toBe(200);
      expect((await send({ path: "/api/admin/keys" }, "reader", address)).status).toBe(200);
    }
  });
});

describe("an operator call authenticates, then authorizes, then reads the query and the body", () => {
  const bad: readonly (readonly [
    what: string,
    request: Omit<RawRequest, "path" | "method">,
    query: string,
  ])[] = [
    ["no body", {}, ""],
    ["no JSON", { headers: { "content-type": "application/json" }, body: "{" }, ""],
    ["another media type", { headers: { "content-type": "text/xml" }, body: "<x/>" }, ""],
    ["an invalid media type", { headers: { "content-type": "/" }, body: "x" }, ""],
    ["invalid UTF-8", { headers: { "content-type": "application/json" }, body: Buffer.from([0xff]) }, ""],
    ["too large a body", { headers: { "content-type": "application/json" }, body: " ".repeat(20_000) }, ""],
    ["an unknown parameter", {}, "?unknown=1"],
    ["a parameter that cannot be decoded", {}, "?limit=%zz"],
  ];

  test.each(bad)("with %s", async (_what, request, query) => {
    const operatorCalls = calls.filter(({ forOperators }) => forOperators);
    expect(operatorCalls.length).toBeGreaterThan(18);
    for (const call of operatorCalls) {
      const raw = { ...request, method: call.method, path: call.path + query };
      for (const [caller, status] of [
        ["unauthenticated", 401],
        [`x${newSecret()}`, 401],
        ["basic", 403],
      ] as const) {
        const response = await send(raw, caller);
        expect([nameOf(call), response.status]).toEqual([nameOf(call), status]);
        expect(response.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
      }
      expect(call.statuses).toEqual(expect.arrayContaining(["401", "403"]));
    }
  });

  test("with an invalid id: path parameters are also validated after authorization", async () => {
    for (const call of calls.filter(({ forOperators, template }) => forOperators && template.includes("{"))) {
      const path = call.template.replaceAll(/\{\w+\}/g, "*");
      expect([nameOf(call), (await send({ ...call, path }, "unauthenticated")).status]).toEqual([
        nameOf(call),
        401,
      ]);
      expect([nameOf(call), (await send({ ...call, path }, "basic")).status]).toEqual([nameOf(call), 403]);
    }
  });

  test("a registration with an invalid credential and an invalid body is denied because of the credential", async () => {
    for (const path of ["/api/auth/v2/register", "/api/auth/register_api_key"])
      expect((await send({ method: "POST", path, body: "{" }, `x${newSecret()}`)).status).toBe(401);
  });
});

test("HEAD requires the same credentials as GET", async () => {
  for (const { path } of calls.filter(({ method, forOperators }) => method === "GET" && forOperators)) {
    expect([path, (await send({ method: "HEAD", path }, "unauthenticated")).status]).toEqual([path, 401]);
    expect([path, (await send({ method: "HEAD", path }, "basic")).status]).toEqual([path, 403]);
  }
  const validate = { method: "HEAD", path: "/api/auth/v2/validate" };
  expect((await send(validate, "unauthenticated")).status).toBe(401);
  expect((await send(validate, "basic")).status).toBe(200);
});

describe("every body and every query is parsed strictly", () => {
  const INVALID_BODIES: Readonly<
    Record<string, readonly (readonly [what: string, body: string | Uint8Array])[]>
  > = {
    "application/json": [
      ["invalid UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
      ["a lone surrogate", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
      ["a member twice", '{"name":"x","name":"x"}'],
      ["a byte order mark", "\ufeff{}"],
      ["UTF-16", Buffer.from("{}", "utf16le")],
    ],
    "application/x-www-form-urlencoded": [
      ["invalid UTF-8", Buffer.from([0x74, 0x3d, 0xff])],
      ["an invalid escape", "token=%zz"],
      ["an escape that is not UTF-8", "token=%ff"],
      ["a field twice", "token=a&token=a"],
    ],
    "application/x-ndjson": [["invalid UTF-8", Buffer.from([0x7b, 0xff, 0x7d])]],
  };

  test("the body of every call that has one", async () => {
    const withBody = calls.filter(({ bodyType }) => bodyType !== undefined);
    expect(new Set(withBody.map(({ bodyType }) => bodyType))).toEqual(new Set(Object.keys(INVALID_BODIES)));
    for (const call of withBody) {
      const type = call.bodyType ?? "";
      for (const [what, body] of INVALID_BODIES[type] ?? []) {
        const raw = { method: call.method, path: call.path, body, headers: { "content-type": type } };
        const response = await send(raw, "admin");
        expect([nameOf(call), what, response.status]).toEqual([nameOf(call), what, 400]);
        expect(JSON.parse(response.body)).toMatchObject({ type: "/problems/request-invalid", status: 400 });
        expect(call.statuses).toContain("400");
      }
      const other = {
        method: call.method,
        path: call.path,
        body: "x",
        headers: { "content-type": "text/plain" },
      };
      expect([nameOf(call), (await send(other, "admin")).status]).toEqual([nameOf(call), 415]);
    }
  });

  test("queries are parsed strictly", async () => {
    for (const path of ["/api/admin/keys", "/api/admin/audit"]) {
      for (const query of ["limit=%", "limit=1%zz", "role=%ff", "limit=1&limit=1", "%=1"]) {
        const response = await send({ path: `${path}?${query}` }, "admin");
        expect([path, query, response.status]).toEqual([path, query, 400]);
      }
      expect((await send({ path: `${path}?limit=%31&` }, "admin")).status).toBe(200);
    }
  });

  test("paths are parsed strictly", async () => {
    for (const path of [
      "/api/admin/keys/%zz",
      "/api/admin/keys/%ff",
      `/api/admin/keys/${"x".repeat(9000)}`,
    ]) {
      const response = await send({ path }, "admin");
      expect([path, response.status]).toEqual([path, 400]);
      expect(response.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
      expect(response.body).not.toContain(path.slice(-4));
    }
  });

  test("each line of an import separately", async () => {
    const line = (more: string) => `{"api_key":"strict-${newSecret()}","name":"x","role":"basic"${more}}`;
    const body = [line(',"role":"basic"'), line(""), line(',"n\\u0061me":"y"')].join("\n");
    const headers = { "content-type": "application/x-ndjson" };
    const response = await send({ method: "POST", path: "/api/admin/keys:import", body, headers }, "admin");
    expect(JSON.parse(response.body)).toEqual({
      imported: 1,
      known: 0,
      refused: [1, 3].map((number) => ({ line: number, detail: "has a member twice" })),
    });
  });
});

describe("a method that a known path does not support gets 405 with Allow", () => {
  const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

  async function expectAllowed(
    listener: string,
    paths: ReadonlyMap<string, readonly string[]>,
  ): Promise<void> {
    for (const [path, methods] of paths) {
      const allowed = methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
      for (const method of METHODS.filter((method) => !allowed.includes(method))) {
        const response = await send({ method, path }, "unauthenticated", newAddress(), listener);
        expect([method, path, response.status]).toEqual([method, path, 405]);
        expect(String(response.headers["allow"]).split(", ").sort()).toEqual([...allowed].sort());
        if (method === "HEAD") continue;
        expect(response.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
        expect(JSON.parse(response.body)).toMatchObject({
          type: "/problems/method-not-allowed",
          status: 405,
        });
      }
    }
  }

  function methodsByPath(described: readonly DescribedCall[]): ReadonlyMap<string, readonly string[]> {
    return new Map(
      described.map(({ path }) => [
        path,
        described.filter((other) => other.path === path).map(({ method }) => method),
      ]),
    );
  }

  test("the operator listener sends 405 with Allow for every call", async () => {
    await expectAllowed(latchkey.operator, methodsByPath(calls));
  });

  test("at the HTTP listener, where the paths of operators are unknown", async () => {
    const httpCalls = await callsOf(latchkey.http);
    await expectAllowed(latchkey.http, methodsByPath(httpCalls));
    for (const { path } of calls.filter(({ template }) => template.startsWith("/api/admin/"))) {
      for (const method of METHODS) {
        const response = await send({ method, path }, "admin", newAddress(), latchkey.http);
        expect([method, path, response.status, response.headers["allow"]]).toEqual([
          method,
          path,
          404,
          undefined,
        ]);
      }
    }
  });

  test("with any body, as an unknown path gets 404", async () => {
    const headers = { "content-type": "application/json" };
    for (const body of ["{", "x".repeat(20_000)]) {
      for (const listener of [latchkey.http, latchkey.operator]) {
        const to = async (path: string) =>
          (await send({ method: "PUT", path, body, headers }, "unauthenticated", newAddress(), listener))
            .status;
        expect([await to("/api/auth/v2/register"), await to("/api/none")]).toEqual([405, 404]);
      }
    }
  });

  test("the ops listener sends 405 with Allow", async () => {
    const get = ["GET"];
    await expectAllowed(
      latchkey.ops,
      new Map([
        ["/metrics", get],
        ["/livez", get],
        ["/readyz", get],
      ]),
    );
  });

  test("for pages and scripts, also with a query or a trailing slash", async () => {
    const get = ["GET"];
    const paths = ["/docs", "/docs/", "/openapi.json?x", "/api-auth-migration.js", "/problems/not-found"];
    await expectAllowed(latchkey.http, new Map(paths.map((path) => [path, get])));
  });

  test("a CORS preflight still gets its response", async () => {
    const headers = { origin: PAGE, "access-control-request-method": "POST" };
    const response = await send(
      { method: "OPTIONS", path: "/api/auth/v2/register", headers },
      "unauthenticated",
    );
    expect([response.status, response.headers["access-control-allow-origin"]]).toEqual([204, PAGE]);
  });

  test("an unknown path gets 404 with any method", async () => {
    for (const method of METHODS)
      expect((await send({ method, path: "/api/nothing" }, "unauthenticated")).status).toBe(404);
  });
});

test("an exhausted address can still make the calls that a valid key makes without a charge", async () => {
  const address = newAddress();
  for (let sent = 0; sent <= OPEN_CALLS; sent++)
    await send({ path: "/api/auth/v2/validate" }, "unauthenticated", address);
  expect((await send({ path: "/api/auth/v2/validate" }, "unauthenticated", address)).status).toBe(429);
  expect((await send({ path: "/api/auth/v2/validate" }, "basic", address)).status).toBe(200);
  const admin = createClient({ url: `http://${latchkey.operator}`, token: ENV.ADMIN_TOKEN });
  expect((await admin.register({ name: "x", key_type: "basic" })).role).toBe("basic");
});
