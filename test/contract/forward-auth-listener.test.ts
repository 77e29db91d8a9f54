import { once } from "node:events";
import type { Socket } from "node:net";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Decision } from "../../src/core/decision/decision.ts";
import { deny } from "../../src/core/decision/decision.ts";
import type { AuthRequest } from "../../src/core/decision/request.ts";
import { createForwardCheck } from "../../src/forward-auth/forward-check.ts";
import type { ForwardAuthServer } from "../../src/forward-auth/server.ts";
import { startForwardAuthServer } from "../../src/forward-auth/server.ts";
import { parsedPolicy } from "../support/parsed-policy.ts";
import { PUBLIC_ALLOW } from "../support/responses.ts";
import { PLAIN_ROUTE } from "../support/route.ts";

const policy = parsedPolicy("{}");
const route = { ...PLAIN_ROUTE, label: "/ok", pattern: "/ok" };

let server: ForwardAuthServer;
/** The requests that were decided. */
let decided: AuthRequest[];
let undescribed: string[];
let answers: string[];
let faults: unknown[];
let decide: (request: AuthRequest) => Decision;

const allow = (): Decision => ({ ...PUBLIC_ALLOW, route });

beforeEach(async () => {
  [decided, undescribed, answers, faults] = [[], [], [], []];
  decide = ({ path }) => (path.path === "/ok" ? allow() : deny("rate_limited", { retryAfterSeconds: 7 }));
  server = await startForwardAuthServer({
    listen: { host: "127.0.0.1", port: 0 },
    check: createForwardCheck(
      {
        policy: () => policy,
        authorize(request) {
          decided.push(request);
          return decide(request);
        },
        nowMs: () => 0,
        monotonicNs: () => 0n,
        newDecisionId: () => "decision",
        onDecision: () => undefined,
        onFault: (error) => faults.push(error),
        onUndecodable: ({ message }) => undescribed.push(message),
      },
      { trustedHops: 1 },
    ),
    onAnswer: (form, status) => answers.push(`${form} ${status}`),
    onFault: (error) => faults.push(error),
  });
});

afterEach(async () => {
  await server.close(0);
  expect(faults).toEqual([]);
});

function open(): Socket {
  const [host, port] = server.address.split(":");
  return connect(Number(port), host).on("error", () => undefined);
}

/** Everything that the server sends to these bytes until it closes the connection. */
async function exchange(bytes: string): Promise<string> {
  const socket = open();
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    received += text;
  });
  socket.write(bytes, "latin1");
  await once(socket, "close");
  return received;
}

type Fields = Readonly<Record<string, string | readonly string[]>>;

/** A call that asks to close the connection. */
function call(target: string, fields: Fields = {}, { method = "GET", version = "1.1" } = {}): string {
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    [value].flat().map((line) => `${name}: ${line}\r\n`),
  );
  return `${method} ${target} HTTP/${version}\r\nhost: service.example\r\nconnection: close\r\n${lines.join("")}\r\n`;
}

const FORWARD = {
  "x-forwarded-method": "POST",
  "x-forwarded-proto": "https",
  "x-forwarded-host": "Service.Example:8443",
  "x-forwarded-uri": "/ok?a=b",
  "x-forwarded-for": "203.0.113.9, 198.51.100.7",
};
const ORIGINAL = {
  "x-original-method": "POST",
  "x-original-proto": "https",
  "x-original-host": "Service.Example:8443",
  "x-original-uri": "/ok?a=b",
  "x-original-for": "203.0.113.9, 198.51.100.7",
};
const ENVOY = { "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9, 198.51.100.7" };
const FORMS = [
  ["envoy", "/envoy/ok?a=b", ENVOY],
  ["forward", "/forward", FORWARD],
  ["original", "/original", ORIGINAL],
] as const;

const statusOf = (response: string) => Number(/^HTTP\/1\.[01] (\d{3})/.exec(response)?.[1] ?? 0);

describe.each(FORMS)("the form %s", (form, target, fields) => {
  test("describes method, scheme, host, path, query and address", async () => {
    const method = form === "envoy" ? { method: "POST" } : {};
    expect(statusOf(await exchange(call(target, fields, method)))).toBe(200);
    expect(decided).toHaveLength(1);
    expect(decided[0]).toMatchObject({
      method: "POST",
      scheme: "https",
      host: "service.example",
      path: { path: "/ok", query: "a=b" },
      peerAddress: "198.51.100.7",
    });
  });

  test.each(Object.keys(fields))("is denied without %s, or with a second one", async (name) => {
    const { [name]: value = "", ...rest } = fields as Record<string, string>;
    expect(statusOf(await exchange(call(target, rest)))).toBe(400);
    expect(statusOf(await exchange(call(target, { ...rest, [name]: "" })))).toBe(
      name.endsWith("-for") ? 200 : 400,
    );
    // The list of addresses may have several lines. The last entry counts.
    const twice = await exchange(call(target, { ...fields, [name]: ["/public/x", value] }));
    expect(statusOf(twice)).toBe(name.endsWith("-for") ? 200 : 400);
    expect(undescribed.filter((why) => !why.startsWith(name))).toEqual([]);
    // An empty list names no address. The proxy's own must not take its place.
    const addresses = decided.map(({ peerAddress }) => peerAddress);
    expect(addresses).toEqual(name.endsWith("-for") ? ["", "198.51.100.7"] : []);
  });

  test("reads no header of another form, and does not pass its own to the decision", async () => {
    const others = Object.assign({}, ...FORMS.map(([, , each]) => each));
    const spoofed = Object.fromEntries(
      Object.keys(others)
        .filter((name) => !Object.hasOwn(fields, name))
        .map((name) => [name, "/public/x"]),
    );
    expect(statusOf(await exchange(call(target, { ...spoofed, ...fields })))).toBe(200);
    const [request] = decided;
    expect(request).toMatchObject({ path: { path: "/ok" }, scheme: "https", host: "service.example" });
    expect(Object.keys(fields).filter((name) => request?.headers.get(name) !== undefined)).toEqual([]);
  });
});

test("with the envoy form the query belongs to the client, and a second Host is denied", async () => {
  const limited = await exchange(call("/envoy/no?deny=403", ENVOY));
  expect(limited).toMatch(/^HTTP\/1\.1 429 .*\r\nretry-after: 7\r\n/s);
  expect(limited).not.toContain("x-latchkey-problem");
  expect(statusOf(await exchange(call("/envoy/ok", { ...ENVOY, Host: "other.example" })))).toBe(400);
});

test("deny=403 on /original has every denial as 401 or 403, with the real status and the problem", async () => {
  const to = (path: string) => ({ ...ORIGINAL, "x-original-uri": path });
  const limited = await exchange(call("/original?deny=403", to("/no")));
  expect(limited).toMatch(/^HTTP\/1\.1 403 /);
  expect(limited).toContain("\r\nx-latchkey-status: 429\r\n");
  expect(limited).toMatch(/\r\nx-latchkey-problem: \{"type":"\/problems\/rate-limited",[^\r]*\}\r\n/);
  decide = () => deny("credential_missing");
  expect(await exchange(call("/original?deny=403", to("/no")))).toMatch(
    /^HTTP\/1\.1 401 .*x-latchkey-status: 401\r\n/s,
  );
  expect(statusOf(await exchange(call("/original", to("/no"))))).toBe(401);
});

test.each([
  ["another query of /original", "/original?deny=404"],
  ["the query of the client after it", "/original?deny=403&x=1"],
  ["a path below a form", "/forward/ok"],
  ["no form", "/"],
  ["a form with another case", "/Envoy/ok"],
  ["the absolute form", "http://service.example/envoy/ok"],
  ["an asterisk", "*"],
])("a URL that the listener does not have is denied: %s", async (_name, target) => {
  const response = await exchange(call(target, { ...FORWARD, ...ORIGINAL }));
  expect(statusOf(response)).toBe(400);
  expect(decided).toEqual([]);
  expect(answers).toEqual(["none 400"]);
});

test("Caddy's copy of the client's query on /forward has no meaning", async () => {
  const fields = { ...FORWARD, "x-forwarded-uri": "/no" };
  expect(statusOf(await exchange(call("/forward?deny=403", fields)))).toBe(429);
});

test.each([
  ["x-forwarded-method", "GET, POST"],
  ["x-forwarded-method", "GET,POST"],
  ["x-forwarded-proto", "https, http"],
  ["x-forwarded-proto", "HTTPS"],
  ["x-forwarded-host", "a.example, b.example"],
  ["x-forwarded-host", "user@a.example"],
  ["x-forwarded-uri", "http://a.example/ok"],
  ["x-forwarded-uri", "/public/x, /ok"],
  ["x-forwarded-uri", "/public/../ok"],
  ["x-forwarded-uri", "/ok#x"],
  ["x-forwarded-uri", "/caf\xe9"],
  ["x-forwarded-uri", "*"],
])("%s: %s is denied", async (name, value) => {
  expect(statusOf(await exchange(call("/forward", { ...FORWARD, [name]: value })))).toBe(400);
  expect(decided).toEqual([]);
});

test("an allow names no cookie and no removal to a proxy that is not Envoy", async () => {
  const spoof = { ...FORWARD, "x-latchkey-role": "admin", cookie: "a=b" };
  expect(await exchange(call("/forward", spoof))).not.toMatch(/admin|\r\n(?:set-)?cookie:|to-remove/);
  const removed = await exchange(call("/envoy/ok", { ...ENVOY, "x-latchkey-spoof": "1" }));
  expect(/\r\nx-envoy-auth-headers-to-remove: ([^\r]*)/.exec(removed)?.[1]?.split(",")).toEqual(
    expect.arrayContaining([
      "authorization",
      "x-api-key",
      "x-latchkey-role",
      "x_latchkey_role",
      "x-latchkey-spoof",
    ]),
  );
});

test("no response may be stored", async () => {
  for (const path of ["/envoy/ok", "/envoy/no"])
    expect(await exchange(call(path, ENVOY))).toContain("\r\ncache-control: no-store\r\n");
});

test("HTTP/1.0 gets its decision, and the connection closes", async () => {
  const request = call("/forward", FORWARD, { version: "1.0" }).replace("connection: close\r\n", "");
  expect(statusOf(await exchange(request))).toBe(200);
});

test("pipelined calls get their responses in order", async () => {
  const open = (path: string) => call(path, ENVOY).replace("connection: close\r\n", "");
  const responses = await exchange(open("/envoy/ok") + open("/envoy/no") + call("/envoy/ok", ENVOY));
  expect([...responses.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status)).toEqual([
    "200",
    "429",
    "200",
  ]);
});

test("64 KB of headers are read completely, more than 8,000 lines are denied, and more than 128 KB get 431", async () => {
  const many = Object.fromEntries(Array.from({ length: 4000 }, (_, at) => [`x-field-${at}`, "1"]));
  const keys = { "x-api-key": ["one", "two"] };
  expect(statusOf(await exchange(call("/forward", { "x-api-key": "one", ...many, ...FORWARD })))).toBe(200);
  await exchange(call("/forward", { ...many, ...FORWARD, ...keys }));
  // Node drops headers beyond the 2000th by default.
  expect(decided[1]?.headers.get("x-api-key")).toEqual(["one", "two"]);
  const short = Object.fromEntries(Array.from({ length: 9000 }, (_, at) => [`x${at}`, "1"]));
  expect(statusOf(await exchange(call("/forward", { ...short, ...FORWARD })))).toBe(400);
  const large = await exchange(call("/forward", { ...FORWARD, large: "x".repeat(140_000) }));
  expect(statusOf(large)).toBe(431);
  expect(answers).toEqual(["forward 200", "forward 200", "forward 400", "none 431"]);
});

test.each([
  ["a body with a length", "content-length: 5\r\n\r\nhello"],
  ["a chunked body", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
])("%s is ignored, and the next call on the connection is read", async (_name, body) => {
  const request = call("/envoy/ok", ENVOY, { method: "POST" }).replace("connection: close\r\n", "");
  const responses = await exchange(request.replace(/\r\n$/, body) + call("/envoy/no", ENVOY));
  expect([...responses.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status)).toEqual(["200", "429"]);
});

test("a body that does not end costs its connection, after the decision", async () => {
  const socket = open();
  const head = call("/envoy/ok", ENVOY, { method: "POST" }).replace(
    /\r\n$/,
    "content-length: 99999999\r\n\r\n",
  );
  socket.write(head.replace("connection: close\r\n", ""));
  const [response] = await once(socket, "data");
  expect(statusOf(String(response))).toBe(200);
  // The kernels of both ends hold a few MiB at most.
  const maxBytes = 64 * 1024 * 1024;
  let sent = 0;
  for (const chunk = "x".repeat(65_536); socket.writable && sent < maxBytes; sent += chunk.length)
    await new Promise((resolve) => socket.write(chunk, resolve));
  expect(sent).toBeLessThan(maxBytes);
});

test("Expect gets the decision instead of 100 Continue, and the connection closes", async () => {
  for (const expectation of ["100-continue", "other"]) {
    const fields = { ...ENVOY, expect: expectation, "content-length": "5" };
    const request = call("/envoy/ok", fields, { method: "POST" }).replace("connection: close\r\n", "");
    const response = await exchange(request);
    expect(response).toMatch(/^HTTP\/1\.1 200 .*\r\nconnection: close\r\n/is);
  }
});

test("a WebSocket gets the decision as any other request", async () => {
  const fields = { ...FORWARD, "x-forwarded-proto": "wss", upgrade: "websocket" };
  const request = call("/forward", fields).replace("connection: close", "connection: upgrade, close");
  expect(statusOf(await exchange(request))).toBe(200);
  expect(decided[0]?.scheme).toBe("https");
});

test.each([
  ["CONNECT", "CONNECT service.example:443 HTTP/1.1\r\nhost: service.example\r\n\r\n"],
  ["no HTTP", "\x16\x03\x01\x00\xff\r\n\r\n"],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["an unknown method", call("/envoy/ok", ENVOY, { method: "FETCH" })],
  ["a folded header", call("/envoy/ok", { ...ENVOY, "x-a": "1\r\n folded" })],
  ["a header name with a space", call("/envoy/ok", { ...ENVOY, "x a": "1" })],
  ["two lengths", call("/envoy/ok", { ...ENVOY, "content-length": ["1", "2"] })],
  [
    "a length and chunks",
    call("/envoy/ok", { ...ENVOY, "content-length": "1", "transfer-encoding": "chunked" }),
  ],
  ["a lone line feed", "GET /envoy/ok HTTP/1.1\nhost: a\n\n"],
])("%s is denied, and the next client is served", async (_name, bytes) => {
  expect(await exchange(bytes)).not.toMatch(/^HTTP\/1\.[01] 2/);
  expect(statusOf(await exchange(call("/envoy/ok", ENVOY)))).toBe(200);
});

test("a fault denies the request", async () => {
  decide = () => {
    throw new Error("broken on purpose");
  };
  expect(statusOf(await exchange(call("/envoy/ok", ENVOY)))).toBe(503);
  expect(faults.splice(0)).toHaveLength(1);
});
