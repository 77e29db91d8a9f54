import { readFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isSeq } from "yaml";
import { IDENTITY_HEADERS } from "../../src/ext-authz/allow-fragments.ts";
import { EXT_AUTHZ } from "../support/envoy.ts";
import type { ForwardProxy, ForwardProxyOptions } from "../support/forward-proxies.ts";
import { startCaddy, startEnvoyProxy, startNginx, startTraefik } from "../support/forward-proxies.ts";
import type { IssuedKey } from "../support/keys.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { freeAddress, launchLatchkey, startLatchkey } from "../support/latchkey.ts";
import { runHere } from "../support/program.ts";
import type { RawAnswer, RawRequest } from "../support/raw-request.ts";
import { sendRaw } from "../support/raw-request.ts";
import type { SeenRequest, Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const POLICY = `
roles:
  basic: { scopes: [a:read], ttl: 1d, refresh_window: 6h, self_service: true, rate_limits: [{ name: burst, per: key, capacity: 3, refill: 1/h }] }
  other: { scopes: [a:secret], ttl: 1d, refresh_window: 6h }
routes:
  - { path: /a/**, methods: [GET, POST], scopes: [a:read] }
  - { path: /unlimited/**, scopes: [a:read], cost: 0 }
  - { path: /secret/**, scopes: [a:secret] }
  - { path: /public/**, public: true }
headers: { credential: [authorization, x-api-key, "cookie:sid"] }
`;

/** The built-in policy, with enough calls for a test. */
const SMOKE_POLICY = "guards: { open_calls: 100000/s }";

const ADMIN_TOKEN = newSecret();
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

let upstream: Upstream;
let latchkey: TestedLatchkey;
let key: IssuedKey;
const auditLines: string[] = [];

const environment = { JWT_SECRET: newSecret(), ADMIN_TOKEN, AUTH_LISTEN: "127.0.0.1:0", AUDIT_FILE: "off" };
const register = (name: string) => registerKey(latchkey.http, "basic", { body: { name } });

beforeAll(async () => {
  upstream = await startUpstream();
  latchkey = await startLatchkey(environment, {
    policy: POLICY,
    onLogLine: (line) => line.includes('"API_AUDIT"') && auditLines.push(line),
  });
  // Proxies replace what looks like their own syntax, and Latchkey percent-encodes what is not ASCII.
  key = await register("{http.request.header.cookie} $host Zoë");
});

afterAll(() => Promise.all([latchkey?.stop(), upstream?.stop()]));

const authOf = ({ auth }: TestedLatchkey) => {
  if (auth === undefined) throw new Error("the instance has no forward-auth listener");
  return auth;
};

type Start = (options: ForwardProxyOptions) => Promise<ForwardProxy>;
const PROXIES: readonly (readonly [name: string, start: Start])[] = [
  ["Envoy's http_service", (options) => startEnvoyProxy("http-service", options)],
  ["nginx", startNginx],
  ["Caddy", startCaddy],
  ["Traefik", startTraefik],
];

/** All that a client could hope to describe another request with, once and twice. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  "x-forwarded-method": "OPTIONS",
  "x-forwarded-uri": "/public/x",
  "x-forwarded-host": "other.example",
  "x-forwarded-proto": "https",
  "x-forwarded-for": "203.0.113.9",
  "x-original-method": "OPTIONS",
  "x-original-uri": "/public/x",
  "x-original-host": "other.example",
  "x-original-proto": "https",
  "x-original-for": "203.0.113.9",
  "x-original-url": "/public/x",
  "x-rewrite-url": "/public/x",
  "x-envoy-original-path": "/public/x",
  "x-http-method-override": "OPTIONS",
};
const IDENTITY = IDENTITY_HEADERS.map((name) => `x-latchkey-${name}`);
const FORGED = Object.fromEntries(IDENTITY.map((name) => [name, "forged"]));
const UNDERSCORED = Object.fromEntries(IDENTITY.map((name) => [name.replaceAll("-", "_"), "forged"]));

/** The headers that a server could read as Latchkey's, by name. */
function identityIn({ headers }: SeenRequest): Readonly<Record<string, string>> {
  const ours = headers.map(([name, value]) => [name.toLowerCase(), value] as const);
  return Object.fromEntries(ours.filter(([name]) => name.replaceAll("_", "-").startsWith("x-latchkey-")));
}

describe.each(PROXIES)("behind %s", (name, start) => {
  let proxy: ForwardProxy;

  beforeAll(async () => {
    proxy = await start({ auth: authOf(latchkey), service: `127.0.0.1:${upstream.port}` });
  });
  afterAll(() => proxy?.stop());

  /** The response, and the request as the service received it. */
  async function send(request: RawRequest): Promise<{ answer: RawAnswer; seen: SeenRequest | undefined }> {
    const before = upstream.requests.length;
    const answer = await sendRaw(proxy.port, request);
    return { answer, seen: upstream.requests[before] };
  }

  test("the service sees who calls, and neither the key nor what the client claims to be", async () => {
    for (const credential of [bearer(key.api_key), { "x-api-key": key.api_key }]) {
      const { answer, seen } = await send({
        path: "/unlimited/x?q=1",
        headers: { ...FORGED, ...credential },
      });
      expect([answer.status, seen?.url]).toEqual([200, "/unlimited/x?q=1"]);
      if (seen === undefined) throw new Error("the service received nothing");
      expect(identityIn(seen)).toEqual({
        "x-latchkey-key-id": key.key_id,
        "x-latchkey-family": expect.stringMatching(/^fam_/),
        "x-latchkey-owner": expect.stringMatching(/^fam_/),
        "x-latchkey-role": "basic",
        "x-latchkey-scopes": "a:read",
        "x-latchkey-name": "{http.request.header.cookie} $host Zo%C3%AB",
        "x-latchkey-decision-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
      });
      expect(seen.headers.filter(([field]) => /^(?:authorization|x-api-key)$/i.test(field))).toEqual([]);
    }
  });

  test("a client cannot have Latchkey's headers dropped by naming them in Connection", async () => {
    const naming = (names: readonly string[]) => [`close, ${names.join(", ")}`, "upgrade"];
    const headers = { ...bearer(key.api_key), connection: naming(IDENTITY) };
    const allowed = await send({ path: "/unlimited/x", headers });
    expect(allowed.answer.status).toBe(200);
    expect(Object.keys(allowed.seen === undefined ? {} : identityIn(allowed.seen)).toSorted()).toEqual(
      IDENTITY.toSorted(),
    );
    const own = { ...headers, connection: naming(Object.keys(DESCRIPTIONS)), "x-forwarded-uri": "/public/x" };
    const denied = await send({ path: "/secret/x", headers: own });
    // Envoy itself rejects these names.
    const reason = name.startsWith("Envoy") ? undefined : "scope_missing";
    expect([denied.answer.headers["x-latchkey-reason"], denied.seen]).toEqual([reason, undefined]);
  });

  test("a WebSocket opens with a valid key, and the service sees who opens it", async () => {
    const open = async (headers: Readonly<Record<string, string>>) => {
      const before = upstream.requests.length;
      const request = httpRequest({
        host: "127.0.0.1",
        port: proxy.port,
        path: "/unlimited/x",
        headers: {
          ...{ connection: `Upgrade, ${IDENTITY.join(", ")}`, upgrade: "websocket" },
          ...{ "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", ...headers },
        },
      }).end();
      const status = await new Promise((resolve, reject) => {
        request.on("error", reject).on("upgrade", (_response, socket) => {
          socket.destroy();
          resolve(101);
        });
        request.on("response", (response) => {
          response.resume();
          resolve(response.statusCode);
        });
      });
      return [
        status,
        upstream.requests[before]?.headers.find(([field]) => /^x-latchkey-role$/i.test(field))?.[1],
      ];
    };
    expect(await open(bearer(key.api_key))).toEqual([101, "basic"]);
    expect(await open({})).toEqual([401, undefined]);
  });

  test("a public route has no caller, whoever the client claims to be", async () => {
    const { answer, seen } = await send({
      path: "/public/x",
      headers: { ...FORGED, authorization: "Bearer x" },
    });
    expect(answer.status).toBe(200);
    expect(Object.keys(identityIn(seen ?? { method: "", url: "", headers: [] }))).toEqual([
      "x-latchkey-decision-id",
    ]);
  });

  test("names with underscores do not reach the service", async () => {
    const { answer, seen } = await send({
      path: "/unlimited/x",
      headers: { ...UNDERSCORED, ...bearer(key.api_key) },
    });
    // Envoy rejects the request, as its example says.
    expect(answer.status).toBe(name.startsWith("Envoy") ? 400 : 200);
    expect(Object.values(seen === undefined ? {} : identityIn(seen))).not.toContain("forged");
  });

  test.each(Object.entries(DESCRIPTIONS))("the client's own %s changes nothing", async (field, value) => {
    for (const lines of [value, [value, value]]) {
      const missing = await send({ path: "/a/x", headers: { [field]: lines } });
      expect([missing.answer.headers["x-latchkey-reason"], missing.seen]).toEqual([
        "credential_missing",
        undefined,
      ]);
      const scope = await send({ path: "/secret/x", headers: { [field]: lines, ...bearer(key.api_key) } });
      expect([scope.answer.headers["x-latchkey-reason"], scope.seen]).toEqual(["scope_missing", undefined]);
    }
  });

  test("a denial has its status, its problem document and its headers, each once", async () => {
    const limited = await register("limited");
    const request = { path: "/a/x", headers: bearer(limited.api_key) };
    for (let sent = 0; sent < 3; sent++) {
      const { answer } = await send(request);
      // Traefik passes no header of an allow to the client.
      const left = name === "Traefik" ? undefined : `"burst";r=${2 - sent}`;
      expect([answer.status, answer.headers["ratelimit"]]).toEqual([200, left]);
    }
    const { answer, seen } = await send(request);
    expect([answer.status, seen]).toEqual([429, undefined]);
    expect(JSON.parse(answer.body)).toMatchObject({ type: "/problems/rate-limited", status: 429 });
    expect(answer.headers).toMatchObject({
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "x-latchkey-reason": "rate_limited",
      "retry-after": expect.stringMatching(/^\d+$/),
      ratelimit: expect.stringMatching(/^"burst";r=0;t=\d+$/),
    });
    for (const [path, status, challenge] of [
      ["/a/x", 401, 'Bearer realm="latchkey"'],
      ["/secret/x", 403, 'scope="a:secret"'],
    ] as const) {
      const headers = status === 403 ? bearer(key.api_key) : {};
      const denied = await send({ path, headers });
      expect([denied.answer.status, JSON.parse(denied.answer.body).status]).toEqual([status, status]);
      const sent = String(denied.answer.headers["www-authenticate"]);
      expect(sent).toContain(challenge);
      expect(sent.split("Bearer ").length).toBe(2);
    }
  });

  test("a body and Expect reach the service, and not Latchkey", async () => {
    const headers = { ...bearer(key.api_key), expect: "100-continue", "content-length": "5" };
    const { answer, seen } = await send({ method: "POST", path: "/unlimited/x", headers, body: "hello" });
    expect([answer.status, seen?.method]).toEqual([200, "POST"]);
    expect(seen?.headers).toContainEqual([expect.stringMatching(/^content-length$/i), "5"]);
  });
});

test("Envoy's HTTP service removes a key from the cookies, if it may send and set them", async () => {
  const options = { auth: authOf(latchkey), service: `127.0.0.1:${upstream.port}` };
  const envoy = await startEnvoyProxy("http-service", options, (bootstrap) => {
    const response = ["http_service", "authorization_response", "allowed_upstream_headers"];
    for (const path of [["allowed_headers"], response]) {
      const patterns = bootstrap.getIn([...EXT_AUTHZ, ...path, "patterns"]);
      if (isSeq(patterns)) patterns.add(bootstrap.createNode({ exact: "cookie" }));
    }
    const allowed = [...EXT_AUTHZ, "decoder_header_mutation_rules", "allow_expression", "regex"];
    bootstrap.setIn(allowed, `${bootstrap.getIn(allowed)}|cookie`);
  });
  const cookiesAfter = async (cookie: string) => {
    const before = upstream.requests.length;
    const { status } = await sendRaw(envoy.port, { path: "/unlimited/x", headers: { cookie } });
    const lines = upstream.requests[before]?.headers.filter(([name]) => name.toLowerCase() === "cookie");
    return [status, lines?.map(([, value]) => value)];
  };
  try {
    expect(await cookiesAfter(`a="1, 2"; sid=${key.api_key}; b=Zo\u00c3\u00ab`)).toEqual([
      200,
      ['a="1, 2"; b=Zo\u00c3\u00ab'],
    ]);
    expect(await cookiesAfter(`sid=${key.api_key}`)).toEqual([200, []]);
  } finally {
    await envoy.stop();
  }
});

test("latchkey smoke tests a deployment behind nginx", async () => {
  const own = await startLatchkey({ ...environment, JWT_SECRET: newSecret() }, { policy: SMOKE_POLICY });
  const nginx = await startNginx({ auth: authOf(own), service: `127.0.0.1:${upstream.port}` });
  try {
    const args = ["smoke", `http://${own.http}`, "--envoy", `http://127.0.0.1:${nginx.port}`];
    const { status, stdout } = await runHere(args, { LATCHKEY_TOKEN: ADMIN_TOKEN });
    expect(stdout).toContain("PASS Envoy Denies a Revoked Key");
    expect(status).toBe(0);
  } finally {
    await Promise.all([nginx.stop(), own.stop()]);
  }
});

test("without Latchkey every proxy answers an error, and the service receives nothing", async () => {
  const gone = await startLatchkey({ ...environment, JWT_SECRET: newSecret() }, { policy: POLICY });
  const options = { auth: authOf(gone), service: `127.0.0.1:${upstream.port}` };
  const proxies = await Promise.all(PROXIES.map(([, start]) => start(options)));
  const before = upstream.requests.length;
  const statuses = () =>
    Promise.all(proxies.map(async ({ port }) => (await sendRaw(port, { path: "/public/x" })).status));
  try {
    expect(await statuses()).toEqual([200, 200, 200, 200]);
    await gone.stop();
    expect(upstream.requests.length).toBe(before + 4);
    expect(await statuses()).toEqual([503, 500, 502, 500]);
    expect(upstream.requests.length).toBe(before + 4);
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  }
});

test("an instance that hangs costs an error after a second, and lets nothing through", async () => {
  const hung = await startLatchkey({ ...environment, JWT_SECRET: newSecret() }, { policy: POLICY });
  const options = { auth: authOf(hung), service: `127.0.0.1:${upstream.port}` };
  // Traefik waits for 30 s.
  const proxies = await Promise.all(PROXIES.slice(0, 3).map(([, start]) => start(options)));
  try {
    process.kill(hung.pid, "SIGSTOP");
    const before = upstream.requests.length;
    const answers = await Promise.all(proxies.map(({ port }) => sendRaw(port, { path: "/public/x" })));
    expect(answers.map(({ status }) => status)).toEqual([503, 500, 504]);
    expect(upstream.requests.length).toBe(before);
  } finally {
    process.kill(hung.pid, "SIGCONT");
    await Promise.all([hung.stop(), ...proxies.map((proxy) => proxy.stop())]);
  }
});

/** What a proxy sends to `/forward`. */
const forwardCall = (path: string, headers = {}) => ({
  path: "/forward",
  headers: {
    ...{ "x-forwarded-method": "GET", "x-forwarded-proto": "https", "x-forwarded-host": "a.example" },
    ...{ "x-forwarded-uri": path, "x-forwarded-for": "192.0.2.7", ...headers },
  },
});

test("an instance that waits for its store decides public routes, and denies every key", async () => {
  const [auth, redis] = [await freeAddress(), await freeAddress()];
  const waiting = await launchLatchkey(
    { ...environment, AUTH_LISTEN: auth, REDIS_URL: `redis://:p@${redis}` },
    { policy: POLICY },
  );
  try {
    const ask = async (path: string, headers = {}) => {
      const answer = await sendRaw(Number(auth.split(":")[1]), forwardCall(path, headers)).catch(
        () => undefined,
      );
      return answer?.headers["x-latchkey-reason"] ?? answer?.status;
    };
    await expect.poll(() => ask("/public/x"), { interval: 20 }).toBe(200);
    expect(await ask("/a/x", bearer(key.api_key))).toBe("credential_unavailable");
  } finally {
    await waiting.stop();
  }
});

test("a draining instance decides, and asks the proxy to close the connection", async () => {
  const stopping = await startLatchkey(
    { ...environment, JWT_SECRET: newSecret(), DRAIN_SECONDS: "30" },
    { policy: POLICY },
  );
  const port = Number(authOf(stopping).split(":")[1]);
  const agent = new Agent({ keepAlive: true });
  const ask = () => sendRaw(port, { ...forwardCall("/public/x"), agent });
  try {
    expect((await ask()).headers["connection"]).toBe("keep-alive");
    process.kill(stopping.pid, "SIGTERM");
    await expect.poll(async () => (await ask()).headers["connection"]).toBe("close");
    expect((await ask()).status).toBe(200);
    // The second signal ends the drain.
    process.kill(stopping.pid, "SIGTERM");
    expect(await stopping.exited).toBe(0);
  } finally {
    agent.destroy();
    await stopping.stop();
  }
});

test("each configuration names every header that Latchkey sends under its prefix", () => {
  const sources = ["allow-fragments", "deny-response", "header-options"].map((file) =>
    readFileSync(new URL(`../../src/ext-authz/${file}.ts`, import.meta.url), "utf8"),
  );
  const answer = readFileSync(new URL("../../src/forward-auth/answer.ts", import.meta.url), "utf8");
  const sent = [...sources, answer].join("\n").matchAll(/"(x-latchkey-[a-z-]+)"/g);
  const nginx = readFileSync(
    new URL("../../deploy/nginx/latchkey.conf", import.meta.url),
    "utf8",
  ).toLowerCase();
  const names = new Set([...IDENTITY, ...[...sent].map(([, name = ""]) => name)]);
  expect(names.size).toBeGreaterThan(10);
  expect([...names].filter((name) => !nginx.includes(`proxy_set_header ${name} `))).toEqual([]);
});

test("the metric counts responses by form and status", async () => {
  const metrics = await (await fetch(`http://${latchkey.ops}/metrics`)).text();
  for (const labels of [
    'form="envoy",status="200"',
    'form="forward",status="429"',
    'form="original",status="403"',
  ])
    expect(metrics).toMatch(new RegExp(`latchkey_forward_auth_responses_total\\{${labels}\\} [1-9]`));
});

test("the audit log has the request as the proxy received it, and nothing that a client claimed", async () => {
  await latchkey.stop();
  const found = auditLines.map((line) => JSON.parse(line)).filter(({ kind }) => kind === "request");
  expect(found.length).toBeGreaterThan(20);
  for (const { method, host, scheme, path, address } of found) {
    expect([host, scheme]).toEqual(["127.0.0.1", "http"]);
    expect(["GET", "POST"]).toContain(method);
    expect(["/", "/a/x", "/secret/x", "/unlimited/x", "/public/x"]).toContain(path);
    expect(address).not.toBe("203.0.113.9");
  }
});
