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

/** An address without earlier calls. */
function newAddress(): string {
  addresses++;
  return `10.${addresses >> 16}.${(addresses >> 8) & 255}.${addresses & 255}`;
}

function portOf(listener: string): number {
  return Number(listener.split(":").at(-1));
}

function credential(who: string): Readonly<Record<string, string>> {
  if (who === "a stranger") return {};
  return { authorization: `Bearer ${who === "admin" ? ENV.ADMIN_TOKEN : (keys.get(who) ?? who)}` };
}

function send(
  request: RawRequest,
  who: string,
  address = newAddress(),
  listener = latchkey.operator,
): Promise<RawAnswer> {
  // Without it Node frames no body of a GET.
  const length =
    request.body === undefined ? {} : { "content-length": String(Buffer.byteLength(request.body)) };
  const headers = { ...request.headers, ...length, ...credential(who), "x-forwarded-for": address };
  return sendRaw(portOf(listener), { ...request, headers });
}

function named({ method, template }: DescribedCall): string {
  return `${method} ${template}`;
}

test("the table says of every call whether it writes; only introspection and explanation read by POST", () => {
  expect(calls.length).toBeGreaterThan(25);
  const readingByPost = calls.filter(({ method, writes }) => method !== "GET" && !writes);
  expect(readingByPost.map(named)).toEqual(["POST /api/auth/v2/introspect", "POST /api/admin/explain"]);
  expect(calls.filter(({ method, writes }) => method === "GET" && writes)).toEqual([]);
});

describe("every call that writes is charged per client address, whatever credential comes with it", () => {
  test.each(["a stranger", "a made-up key", "basic", "reader", "system"])("by %s", async (who) => {
    for (const call of calls.filter(({ writes }) => writes)) {
      const address = newAddress();
      const statuses: number[] = [];
      for (let sent = 0; sent <= OPEN_CALLS; sent++)
        statuses.push((await send(call, who === "a made-up key" ? `x${newSecret()}` : who, address)).status);
      expect([named(call), statuses.at(-1), statuses.includes(429)]).toEqual([named(call), 429, true]);
      expect([named(call), statuses.slice(0, OPEN_CALLS).filter((status) => status === 429)]).toEqual([
        named(call),
        [],
      ]);
      expect(call.statuses).toContain("429");
    }
  });

  test("but for those who hold keys:write, where the call looks at its caller", async () => {
    const looking = calls.filter(
      ({ writes, template }) => writes && !/v2\/(refresh|revoke|migrate)$/.test(template),
    );
    for (const call of looking) {
      for (const who of ["admin", "writer"]) {
        const address = newAddress();
        for (let sent = 0; sent < OPEN_CALLS + 2; sent++)
          expect([named(call), (await send(call, who, address)).status]).not.toEqual([named(call), 429]);
      }
    }
  });

  test("with one's own self-service key as with none: three keys are registered, and no more", async () => {
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

  test("a refusal to a key without operator's scopes is charged too, for it leaves an audit line", async () => {
    for (const call of calls.filter(({ forOperators }) => forOperators)) {
      const address = newAddress();
      const statuses: number[] = [];
      for (let sent = 0; sent <= OPEN_CALLS; sent++)
        statuses.push((await send(call, "basic", address)).status);
      expect([named(call), statuses]).toEqual([named(call), [403, 403, 403, 429]]);
    }
  });

  test("reading with a good key is not charged", async () => {
    const address = newAddress();
    for (let sent = 0; sent < OPEN_CALLS + 2; sent++) {
      expect((await send({ path: "/api/auth/v2/validate" }, "basic", address)).status).toBe(200);
      expect((await send({ path: "/api/admin/keys" }, "reader", address)).status).toBe(200);
    }
  });
});

describe("an operator's call authenticates, then authorizes, then reads the query and the body", () => {
  const bad: readonly (readonly [
    what: string,
    request: Omit<RawRequest, "path" | "method">,
    query: string,
  ])[] = [
    ["no body", {}, ""],
    ["no JSON", { headers: { "content-type": "application/json" }, body: "{" }, ""],
    ["another media type", { headers: { "content-type": "text/xml" }, body: "<x/>" }, ""],
    ["no media type that is one", { headers: { "content-type": "/" }, body: "x" }, ""],
    [
      "bytes that are no UTF-8",
      { headers: { "content-type": "application/json" }, body: Buffer.from([0xff]) },
      "",
    ],
    ["too large a body", { headers: { "content-type": "application/json" }, body: " ".repeat(20_000) }, ""],
    ["an unknown parameter", {}, "?unknown=1"],
    ["a parameter that cannot be decoded", {}, "?limit=%zz"],
  ];

  test.each(bad)("with %s", async (_what, request, query) => {
    const ofOperators = calls.filter(({ forOperators }) => forOperators);
    expect(ofOperators.length).toBeGreaterThan(18);
    for (const call of ofOperators) {
      const raw = { ...request, method: call.method, path: call.path + query };
      for (const [who, status] of [
        ["a stranger", 401],
        [`x${newSecret()}`, 401],
        ["basic", 403],
      ] as const) {
        const answer = await send(raw, who);
        expect([named(call), answer.status]).toEqual([named(call), status]);
        expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
      }
      expect(call.statuses).toEqual(expect.arrayContaining(["401", "403"]));
    }
  });

  test("with an invalid id: parameters of the path are read last too", async () => {
    for (const call of calls.filter(({ forOperators, template }) => forOperators && template.includes("{"))) {
      const path = call.template.replaceAll(/\{\w+\}/g, "*");
      expect([named(call), (await send({ ...call, path }, "a stranger")).status]).toEqual([named(call), 401]);
      expect([named(call), (await send({ ...call, path }, "basic")).status]).toEqual([named(call), 403]);
    }
  });

  test("a registration with a bad credential and a bad body is refused for the credential", async () => {
    for (const path of ["/api/auth/v2/register", "/api/auth/register_api_key"])
      expect((await send({ method: "POST", path, body: "{" }, `x${newSecret()}`)).status).toBe(401);
  });
});

test("HEAD asks what GET asks, of the same callers", async () => {
  for (const { path } of calls.filter(({ method, forOperators }) => method === "GET" && forOperators)) {
    expect([path, (await send({ method: "HEAD", path }, "a stranger")).status]).toEqual([path, 401]);
    expect([path, (await send({ method: "HEAD", path }, "basic")).status]).toEqual([path, 403]);
  }
  const validate = { method: "HEAD", path: "/api/auth/v2/validate" };
  expect((await send(validate, "a stranger")).status).toBe(401);
  expect((await send(validate, "basic")).status).toBe(200);
});

describe("every body and every query is read strictly", () => {
  const BAD: Readonly<Record<string, readonly (readonly [what: string, body: string | Uint8Array])[]>> = {
    "application/json": [
      ["bytes that are no UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
      ["half a character", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
      ["a member twice", '{"name":"x","name":"x"}'],
      ["a byte order mark", "\ufeff{}"],
      ["UTF-16", Buffer.from("{}", "utf16le")],
    ],
    "application/x-www-form-urlencoded": [
      ["bytes that are no UTF-8", Buffer.from([0x74, 0x3d, 0xff])],
      ["an invalid escape", "token=%zz"],
      ["an escape of no UTF-8", "token=%ff"],
      ["a field twice", "token=a&token=a"],
    ],
    "application/x-ndjson": [["bytes that are no UTF-8", Buffer.from([0x7b, 0xff, 0x7d])]],
  };

  test("bodies, of every call that has one", async () => {
    const taking = calls.filter(({ bodyType }) => bodyType !== undefined);
    expect(new Set(taking.map(({ bodyType }) => bodyType))).toEqual(new Set(Object.keys(BAD)));
    for (const call of taking) {
      const type = call.bodyType ?? "";
      for (const [what, body] of BAD[type] ?? []) {
        const raw = { method: call.method, path: call.path, body, headers: { "content-type": type } };
        const answer = await send(raw, "admin");
        expect([named(call), what, answer.status]).toEqual([named(call), what, 400]);
        expect(JSON.parse(answer.body)).toMatchObject({ type: "/problems/request-invalid", status: 400 });
        expect(call.statuses).toContain("400");
      }
      const other = {
        method: call.method,
        path: call.path,
        body: "x",
        headers: { "content-type": "text/plain" },
      };
      expect([named(call), (await send(other, "admin")).status]).toEqual([named(call), 415]);
    }
  });

  test("queries are parsed strictly", async () => {
    for (const path of ["/api/admin/keys", "/api/admin/audit"]) {
      for (const query of ["limit=%", "limit=1%zz", "role=%ff", "limit=1&limit=1", "%=1"]) {
        const answer = await send({ path: `${path}?${query}` }, "admin");
        expect([path, query, answer.status]).toEqual([path, query, 400]);
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
      const answer = await send({ path }, "admin");
      expect([path, answer.status]).toEqual([path, 400]);
      expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
      expect(answer.body).not.toContain(path.slice(-4));
    }
  });

  test("lines of an import, each by itself", async () => {
    const line = (more: string) => `{"api_key":"strict-${newSecret()}","name":"x","role":"basic"${more}}`;
    const body = [line(',"role":"basic"'), line(""), line(',"n\\u0061me":"y"')].join("\n");
    const headers = { "content-type": "application/x-ndjson" };
    const answer = await send({ method: "POST", path: "/api/admin/keys:import", body, headers }, "admin");
    expect(JSON.parse(answer.body)).toEqual({
      imported: 1,
      known: 0,
      refused: [1, 3].map((number) => ({ line: number, detail: "has a member twice" })),
    });
  });
});

describe("a method that a known path does not have is 405 with Allow", () => {
  const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

  async function expectAllowed(
    listener: string,
    paths: ReadonlyMap<string, readonly string[]>,
  ): Promise<void> {
    for (const [path, methods] of paths) {
      const allowed = methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
      for (const method of METHODS.filter((method) => !allowed.includes(method))) {
        const answer = await send({ method, path }, "a stranger", newAddress(), listener);
        expect([method, path, answer.status]).toEqual([method, path, 405]);
        expect(String(answer.headers["allow"]).split(", ").sort()).toEqual([...allowed].sort());
        if (method === "HEAD") continue;
        expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
        expect(JSON.parse(answer.body)).toMatchObject({ type: "/problems/method-not-allowed", status: 405 });
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

  test("at the HTTP listener, where operators' paths are not known", async () => {
    const open = await callsOf(latchkey.http);
    await expectAllowed(latchkey.http, methodsByPath(open));
    for (const { path } of calls.filter(({ template }) => template.startsWith("/api/admin/"))) {
      for (const method of METHODS) {
        const answer = await send({ method, path }, "admin", newAddress(), latchkey.http);
        expect([method, path, answer.status, answer.headers["allow"]]).toEqual([
          method,
          path,
          404,
          undefined,
        ]);
      }
    }
  });

  test("whatever body comes with it, as an unknown path is 404", async () => {
    const headers = { "content-type": "application/json" };
    for (const body of ["{", "x".repeat(20_000)]) {
      for (const listener of [latchkey.http, latchkey.operator]) {
        const to = async (path: string) =>
          (await send({ method: "PUT", path, body, headers }, "a stranger", newAddress(), listener)).status;
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

  test("pages and scripts, with a query or a slash at the end too", async () => {
    const get = ["GET"];
    const paths = ["/docs", "/docs/", "/openapi.json?x", "/api-auth-migration.js", "/problems/not-found"];
    await expectAllowed(latchkey.http, new Map(paths.map((path) => [path, get])));
  });

  test("a CORS preflight is answered as before", async () => {
    const headers = { origin: PAGE, "access-control-request-method": "POST" };
    const answer = await send({ method: "OPTIONS", path: "/api/auth/v2/register", headers }, "a stranger");
    expect([answer.status, answer.headers["access-control-allow-origin"]]).toEqual([204, PAGE]);
  });

  test("an unknown path stays 404, whatever the method", async () => {
    for (const method of METHODS)
      expect((await send({ method, path: "/api/nothing" }, "a stranger")).status).toBe(404);
  });
});

test("an exhausted address can still do what a good key may do without a charge", async () => {
  const address = newAddress();
  for (let sent = 0; sent <= OPEN_CALLS; sent++)
    await send({ path: "/api/auth/v2/validate" }, "a stranger", address);
  expect((await send({ path: "/api/auth/v2/validate" }, "a stranger", address)).status).toBe(429);
  expect((await send({ path: "/api/auth/v2/validate" }, "basic", address)).status).toBe(200);
  const admin = createClient({ url: `http://${latchkey.operator}`, token: ENV.ADMIN_TOKEN });
  expect((await admin.register({ name: "x", key_type: "basic" })).role).toBe("basic");
});
