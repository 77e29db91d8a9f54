import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer, request as httpRequest } from "node:http";
import { text } from "node:stream/consumers";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { chromium } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { chromiumBinary } from "../../scripts/chromium.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { createClient } from "../../src/client/client.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const POLICY = `
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d, self_service: true }
  brief: { scopes: [a], ttl: 12s, refresh_window: 6s, self_service: true }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 100000/s }
`;

/** Changes that the site in front makes to calls, by path. */
type Rule = (
  path: string,
) => "pass" | 404 | 429 | 500 | "cut" | { readonly status: 302 | 307; readonly to: string };

let latchkey: TestedLatchkey;
let upstream: Upstream;
let envoy: EnvoyProcess;
let site: Site;
/** The same page under another origin. */
let elsewhere: Site;
let browser: Browser;
let context: BrowserContext;

interface Site {
  readonly origin: string;
  readonly server: Server;
  rule: Rule;
}

beforeAll(async () => {
  elsewhere = await startSite();
  latchkey = await startLatchkey(
    { JWT_SECRET: newSecret(), ADMIN_TOKEN, HTTP_CORS_ORIGINS: elsewhere.origin },
    { policy: POLICY },
  );
  upstream = await startUpstream();
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
  site = await startSite();
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"];
  browser = await chromium.launch({ executablePath: await chromiumBinary(), args });
});
afterAll(async () => {
  await browser?.close();
  for (const { server } of [site, elsewhere]) server.closeAllConnections();
  site?.server.close();
  elsewhere?.server.close();
  await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
});
beforeEach(async () => {
  site.rule = () => "pass";
  context = await browser.newContext();
  context.setDefaultTimeout(60_000);
});
afterEach(() => context.close());

/** A site whose /api is Latchkey's and whose /a is Envoy's, with a rule that tests change. */
async function startSite(): Promise<Site> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const made: Site = { origin: `http://127.0.0.1:${port}`, server, rule: () => "pass" };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? "/";
    if (path === "/") {
      response.setHeader("content-type", "text/html").end("<!doctype html><title>t</title>");
      return;
    }
    const rule = made.rule(path);
    if (rule === "cut") response.destroy();
    else if (rule === "pass") forward(request, response);
    else if (typeof rule === "number") response.writeHead(rule).end();
    else response.writeHead(rule.status, { ...EVERYTHING_ALLOWED, location: rule.to }).end();
  });
  return made;
}

function forward(request: IncomingMessage, response: ServerResponse): void {
  const { method, headers, url } = request;
  const target = url?.startsWith("/a/") ? `127.0.0.1:${envoy.port}` : latchkey.http;
  const onward = httpRequest(`http://${target}${url}`, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
}

/** The headers of a server that lets every page call it with anything. */
const EVERYTHING_ALLOWED = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "authorization, x-api-key, content-type, idempotency-key",
  "access-control-allow-methods": "GET, POST",
};

/** An attacker's server: it allows every call, and records what it receives. */
async function startThief(): Promise<{
  readonly origin: string;
  readonly taken: string[];
  readonly server: Server;
}> {
  const taken: string[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    if (request.method !== "OPTIONS")
      taken.push([request.url, request.headers.authorization, request.headers["x-api-key"], body].join(" "));
    response.writeHead(200, { ...EVERYTHING_ALLOWED, "content-type": "application/json" }).end("{}");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  return { origin: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`, taken, server };
}

/** A page with the client as `window.auth`; `events` collects its events. */
async function openPage(options: Record<string, unknown> = {}, at = site, from = at): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${at.origin}/`);
  await page.addScriptTag({ url: `${from.origin}/api-auth-migration.js` });
  await page.evaluate(
    `window.events = [];
     window.auth = ApiAuthMigration.create({ storage: localStorage, recheckMs: 0, ...${JSON.stringify(options)} });
     for (const type of ["fallback", "migrated", "refreshed", "upgrade", "invalid", "error"])
       auth.addEventListener(type, ({ detail }) => events.push({ type, ...detail }));`,
  );
  return page;
}

const getKey = (page: Page) => page.evaluate<{ key: string; version: number }>("auth.getKey()");
const events = (page: Page) => page.evaluate<{ type: string }[]>("events");
/** The result of an API call through Envoy. */
const statusOf = (page: Page) => page.evaluate<number>(`auth.fetch("/a/x").then(({ status }) => status)`);
/** By the key id that Envoy's upstream got last. */
const lastKeyId = () => new Map(upstream.requests.at(-1)?.headers).get("x-latchkey-key-id");
const withoutV2: Rule = (path) => (path.startsWith("/api/auth/v2/") ? 404 : "pass");

test("if V2 is available, a page gets a V2 key and calls with it", async () => {
  const page = await openPage();
  expect((await getKey(page)).version).toBe(2);
  expect(await statusOf(page)).toBe(200);
  expect((await getKey(page)).key).toBe((await getKey(page)).key);
});

test("a page reads the limits and the usage of its key, and rejects what the server rejects", async () => {
  const page = await openPage();
  expect(await page.evaluate("auth.limits()")).toMatchObject({ plan: null, quotas: [] });
  expect(await page.evaluate(`auth.usage({ by: "hour" })`)).toMatchObject({ by: "hour", usage: [] });
  expect(await page.evaluate("auth.usage()")).toMatchObject({ by: "day", metering: "on" });
  await expect(page.evaluate(`auth.usage({ by: "month" })`)).rejects.toThrow(
    "/api/auth/v2/usage?by=month: 400",
  );
  // With a V1 key too.
  const older = await openPage({ storageKey: "older", v2Available: false });
  expect(await older.evaluate("auth.usage()")).toMatchObject({ usage: [] });
});

test("the ES module behaves like the script", async () => {
  const page = await openPage();
  const version = await page.evaluate<number>(
    `import("${site.origin}/api-auth-migration.mjs").then(({ create }) => create().getKey()).then(({ version }) => version)`,
  );
  expect(version).toBe(2);
});

describe("without V2", () => {
  test("V1 continues, and once V2 is available the V1 key is exchanged and kept", async () => {
    site.rule = withoutV2;
    const page = await openPage();
    const v1 = await getKey(page);
    expect(v1).toMatchObject({ version: 1, key: expect.stringMatching(/^lk1_/) });
    expect(await events(page)).toContainEqual({ type: "fallback", status: 404 });
    site.rule = () => "pass";
    const v2 = await getKey(page);
    expect(v2.version).toBe(2);
    expect((await events(page)).map(({ type }) => type)).toContain("migrated");
    // The switch: back to V1, without a call to the server.
    await page.evaluate("auth.v2Available = false");
    expect(await getKey(page)).toEqual(v1);
    await page.evaluate("auth.v2Available = undefined");
    expect(await getKey(page)).toEqual(v2);
  });

  test("a page's earlier V1 key is exchanged for a V2 key of the same family", async () => {
    const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    const { api_key, key_id } = await admin.registerLegacy({ name: "old page", key_type: "basic" });
    const page = await openPage();
    await page.evaluate(`auth.adoptV1(${JSON.stringify(api_key)})`);
    const { key } = await getKey(page);
    const { key_id: successor } = await admin.validate(key);
    expect((await admin.keys.show(successor)).family).toBe((await admin.keys.show(key_id)).family);
  });

  test("a server error decides nothing: V1 continues, and V2 is tried again", async () => {
    site.rule = withoutV2;
    const page = await openPage();
    const v1 = await getKey(page);
    site.rule = (path) => (path.endsWith("/migrate") ? 500 : "pass");
    expect(await getKey(page)).toEqual(v1);
    site.rule = () => "pass";
    expect((await getKey(page)).version).toBe(2);
  });
});

test("with V1 forced from the start, no V2 call is made", async () => {
  const page = await openPage({ v2Available: false });
  const paths: string[] = [];
  page.on("request", (request) => paths.push(new URL(request.url()).pathname));
  expect((await getKey(page)).version).toBe(1);
  expect(paths).toEqual(["/api/auth/register_api_key"]);
});

test("many tabs that share a storage refresh once, and all continue with the successor", async () => {
  const pages = await Promise.all([1, 2, 3].map(() => openPage({ keyType: "brief" })));
  const [first] = pages;
  if (first === undefined) throw new Error("no page");
  const old = (await getKey(first)).key;
  expect((await Promise.all(pages.map(getKey))).map(({ key }) => key)).toEqual([old, old, old]);
  await refreshDue(first);
  const before = await refreshed();
  const keys = new Set((await Promise.all(pages.map(getKey))).map(({ key }) => key));
  expect([keys.size, keys.has(old), (await refreshed()) - before]).toEqual([1, false, 1]);
});

test("a refresh whose response is lost is repeated with the same Idempotency-Key and returns the same key", async () => {
  const page = await openPage({ keyType: "brief" });
  await refreshDue(page);
  const sent: (string | undefined)[] = [];
  await page.route("**/api/auth/v2/refresh", async (route) => {
    sent.push(route.request().headers()["idempotency-key"]);
    if (sent.length > 1) return route.continue();
    await route.fetch();
    return route.abort();
  });
  const before = await refreshed();
  await getKey(page);
  expect((await events(page)).map(({ type }) => type)).toEqual(["error"]);
  expect((await getKey(page)).version).toBe(2);
  expect([sent.length, sent[0] === sent[1], (await refreshed()) - before]).toEqual([2, true, 1]);
});

test("offline, the client reports it and continues by itself when the network is back", async () => {
  const page = await openPage();
  await context.setOffline(true);
  await expect(getKey(page)).rejects.toThrow();
  expect((await events(page)).map(({ type }) => type)).toContain("error");
  await context.setOffline(false);
  expect((await getKey(page)).version).toBe(2);
});

test("a page with a key keeps calling while the server is unavailable or fails", async () => {
  const page = await openPage();
  const key = await getKey(page);
  for (const wrong of ["cut", 500] as const) {
    site.rule = (path) => (path.startsWith("/api/") ? wrong : "pass");
    expect([await statusOf(page), await getKey(page)]).toEqual([200, key]);
  }
});

test("a revoked key is replaced once, and the call is repeated with its body", async () => {
  const page = await openPage();
  const { key } = await getKey(page);
  await createClient({ url: `http://${latchkey.http}` }).revoke(key);
  const status = await page.evaluate<number>(
    `auth.fetch(new Request("/a/x", { method: "POST", body: "hello" })).then(({ status }) => status)`,
  );
  expect([status, (await getKey(page)).key === key]).toEqual([200, false]);
  expect(new Map(upstream.requests.at(-1)?.headers).get("content-length")).toBe("5");
});

test("servers other than the API get no key", async () => {
  const page = await openPage();
  await getKey(page);
  const sent: Record<string, string>[] = [];
  await page.route(`${elsewhere.origin}/**`, (route) => {
    sent.push(route.request().headers());
    return route.fulfill({ status: 200, headers: { "access-control-allow-origin": "*" } });
  });
  await page.evaluate(`auth.fetch("${elsewhere.origin}/a/x")`);
  await page.evaluate(`auth.fetch("//${new URL(elsewhere.origin).host}/a/x")`);
  expect(sent.length).toBe(2);
  for (const headers of sent) expect(headers).not.toHaveProperty("authorization");
});

describe("a key does not follow a redirect to another origin", () => {
  let thief: Awaited<ReturnType<typeof startThief>>;
  beforeAll(async () => {
    thief = await startThief();
  });
  afterAll(() => {
    thief?.server.closeAllConnections();
    thief?.server.close();
  });
  /** Redirects calls to this path; all others pass. */
  const redirecting =
    (fits: RegExp, status: 302 | 307): Rule =>
    (path) =>
      fits.test(path) ? { status, to: `${thief.origin}${path}` } : "pass";

  test.each([302, 307] as const)(
    "a redirected API call (%d) loses the key, as a V1 key, as a V2 key, and with a body",
    async (status) => {
      for (const options of [{}, { v2Available: false }]) {
        const page = await openPage({ ...options, storageKey: JSON.stringify(options) });
        await getKey(page);
        site.rule = redirecting(/^\/a\/away/, status);
        await expect(page.evaluate(`auth.fetch("/a/away")`)).rejects.toThrow("Failed to fetch");
        await expect(
          page.evaluate(`auth.fetch("/a/away", { method: "POST", body: "secret" })`),
        ).rejects.toThrow("Failed to fetch");
        site.rule = () => "pass";
        expect(await statusOf(page)).toBe(200);
      }
      expect(thief.taken).toEqual([]);
    },
  );

  test.each([302, 307] as const)(
    "a redirected call of the key API (%d) loses the key: validate, migrate, refresh",
    async (status) => {
      const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
      const { api_key } = await admin.registerLegacy({ name: "old page", key_type: "brief" });
      const page = await openPage({ keyType: "brief" });
      await page.evaluate(`auth.adoptV1(${JSON.stringify(api_key)})`);
      site.rule = redirecting(/\/migrate$/, status);
      expect(await getKey(page)).toEqual({ key: api_key, version: 1 });
      site.rule = () => "pass";
      const { key } = await getKey(page);
      await refreshDue(page);
      site.rule = redirecting(/\/refresh$/, status);
      expect(await getKey(page)).toEqual({ key, version: 2 });
      site.rule = redirecting(/\/validate$/, status);
      expect((await getKey(page)).version).toBe(2);
      expect(thief.taken).toEqual([]);
    },
  );

  test("a call from a page of another origin loses the key in a redirect", async () => {
    const page = await openPage({ baseUrl: site.origin, v2Available: false }, elsewhere, site);
    await page.evaluate(`auth.adoptV1("lk1_some")`);
    site.rule = (path) => ({ status: 307, to: `${thief.origin}${path}` });
    await page.route(`${site.origin}/**`, async (route) => {
      if (route.request().method() !== "OPTIONS") return route.continue();
      return route.fulfill({ status: 204, headers: EVERYTHING_ALLOWED });
    });
    await expect(page.evaluate(`auth.fetch("/a/x")`)).rejects.toThrow("Failed to fetch");
    expect(thief.taken).toEqual([]);
  });

  test("a redirect within the API's origin keeps the key", async () => {
    const page = await openPage();
    await getKey(page);
    site.rule = (path) => (path === "/a/moved" ? { status: 307, to: "/a/x" } : "pass");
    const status = await page.evaluate<number>(
      `auth.fetch("/a/moved", { method: "POST", body: "hello" }).then(({ status }) => status)`,
    );
    expect(status).toBe(200);
    expect(new Map(upstream.requests.at(-1)?.headers).get("content-length")).toBe("5");
  });
});

test("the client works across origins that the server allows, and reads the exposed headers there", async () => {
  const latchkeySite = { ...site, origin: `http://${latchkey.http}` };
  const page = await openPage({ baseUrl: latchkeySite.origin, v2Available: false }, elsewhere, latchkeySite);
  expect((await getKey(page)).version).toBe(1);
  const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  await admin.migration.set("deprecated");
  const validated = page.evaluate<number>(`auth.fetch("/api/auth/v2/validate").then(({ status }) => status)`);
  expect(await validated).toBe(200);
  await admin.migration.set("silent");
  expect(await events(page)).toContainEqual({
    type: "upgrade",
    deprecation: expect.stringMatching(/^@\d+$/),
    sunset: "Mon, 01 Mar 2027 00:00:00 GMT",
  });
});

describe("rollback, through Envoy", () => {
  /** A page with a V1 key that it has exchanged. */
  const migratedPage = async () => {
    site.rule = withoutV2;
    const page = await openPage();
    const v1 = await getKey(page);
    expect(await statusOf(page)).toBe(200);
    site.rule = () => "pass";
    const v2 = await getKey(page);
    expect([v1.version, v2.version, await statusOf(page)]).toEqual([1, 2, 200]);
    return { page, v1, v2 };
  };

  test("the switch goes back to the V1 key at once, and forth again", async () => {
    const { page, v1, v2 } = await migratedPage();
    const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    await page.evaluate("auth.v2Available = false");
    expect([await statusOf(page), await getKey(page)]).toEqual([200, v1]);
    expect(lastKeyId()).toBe((await admin.validate(v1.key)).key_id);
    await page.evaluate("auth.v2Available = undefined");
    expect([await statusOf(page), await getKey(page)]).toEqual([200, v2]);
    expect(lastKeyId()).toBe((await admin.validate(v2.key)).key_id);
  });

  test("every page continues when the phase goes back to silent, from any state", async () => {
    const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    const { page: migrated } = await migratedPage();
    const old = await openPage({ storageKey: "old", v2Available: false });
    expect(await statusOf(old)).toBe(200);
    await admin.migration.set("removed");
    // Only V1 keys that were not exchanged are denied: that page was configured to stay with V1.
    expect(await statusOf(migrated)).toBe(200);
    const oldKey = await getKey(old);
    const denied = await fetch(`http://127.0.0.1:${envoy.port}/a/x`, {
      headers: { "x-api-key": oldKey.key },
    });
    expect(denied.headers.get("x-latchkey-reason")).toBe("legacy_key_removed");
    await admin.migration.set("silent");
    expect([await statusOf(migrated), await statusOf(old)]).toEqual([200, 200]);
    expect(await getKey(old)).toEqual(oldKey);
    await migrated.evaluate("auth.v2Available = false");
    expect([await statusOf(migrated), (await getKey(migrated)).version]).toEqual([200, 1]);
  });
});

test("the V1 key is kept until the server rejects it, and then deleted", async () => {
  const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  const { api_key } = await admin.registerLegacy({ name: "old page", key_type: "brief" });
  const page = await openPage({ keyType: "brief" });
  await page.evaluate(`auth.adoptV1(${JSON.stringify(api_key)})`);
  const kept = () => page.evaluate<string | undefined>(`JSON.parse(localStorage.getItem("api-auth")).v1`);
  await refreshDue(page);
  await getKey(page);
  expect(await kept()).toBe(api_key);
  await admin.keys.revoke((await admin.validate(api_key)).key_id);
  await refreshDue(page);
  await getKey(page);
  expect((await events(page)).filter(({ type }) => type === "refreshed").length).toBe(2);
  expect(await kept()).toBeUndefined();
});

test("an invalid stored V1 key is reported and replaced, and one that is denied later is kept", async () => {
  const page = await openPage({}, site);
  await page.evaluate(`auth.adoptV1("lk1_none")`);
  expect((await getKey(page)).version).toBe(2);
  expect(await events(page)).toContainEqual({ type: "invalid", status: 401 });
  const later = await openPage({ storageKey: "later" });
  await later.evaluate(`auth.adoptV1("kept-meanwhile")`);
  site.rule = (path) => (path.endsWith("/migrate") ? 429 : "pass");
  expect(await getKey(later)).toEqual({ key: "kept-meanwhile", version: 1 });
});

test("the client works without a storage that rejects writes", async () => {
  const page = await openPage();
  await page.evaluate(`Storage.prototype.setItem = () => { throw new Error("full"); }`);
  const first = await getKey(page);
  expect([await getKey(page), await statusOf(page)]).toEqual([first, 200]);
  expect(await events(page)).toContainEqual({ type: "error", path: "storage", message: "Error: full" });
});

/** Waits until the page's key may be refreshed. */
async function refreshDue(page: Page): Promise<void> {
  await getKey(page);
  const due = `JSON.parse(localStorage.getItem("api-auth")).v2.refresh_after`;
  await page.waitForFunction(`Date.now() >= Date.parse(${due})`);
}

/** The number of keys that the server has refreshed so far. Metrics would not do: scrapes within a moment share one text. */
async function refreshed(): Promise<number> {
  const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  const { events } = await admin.audit({ event: "key_refreshed", role: "brief", limit: 500 });
  return events.length;
}
