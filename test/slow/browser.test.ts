import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer, request as httpRequest } from "node:http";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { chromium } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { chromiumBinary } from "../../scripts/chromium.ts";
import { createClient } from "../../src/client/client.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";

const ADMIN_TOKEN = newSecret();
const POLICY = `
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d, self_service: true }
  brief: { scopes: [a], ttl: 8s, refresh_window: 6s, self_service: true }
routes: []
guards: { open_calls: 100000/s }
`;

/** What the site in front of Latchkey does to calls, by the path. */
type Rule = (path: string) => "pass" | 404 | 500 | "cut";

let latchkey: TestedLatchkey;
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
  site = await startSite();
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"];
  browser = await chromium.launch({ executablePath: await chromiumBinary(), args });
});
afterAll(async () => {
  await browser?.close();
  for (const { server } of [site, elsewhere]) server.closeAllConnections();
  site?.server.close();
  elsewhere?.server.close();
  await latchkey?.stop();
});
beforeEach(async () => {
  site.rule = () => "pass";
  context = await browser.newContext();
});
afterEach(() => context.close());

/** A site whose /api is Latchkey's, behind a rule that tests change. */
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
    else if (rule !== "pass") response.writeHead(rule).end();
    else forward(request, response);
  });
  return made;
}

function forward(request: IncomingMessage, response: ServerResponse): void {
  const { method, headers, url } = request;
  const onward = httpRequest(`http://${latchkey.http}${url}`, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
}

/** A page with the client on it, as `window.auth`; `told` collects its events. */
async function openPage(options: Record<string, unknown> = {}, at = site, from = at): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${at.origin}/`);
  await page.addScriptTag({ url: `${from.origin}/api-auth-migration.js` });
  await page.evaluate(
    `window.told = [];
     window.auth = ApiAuthMigration.create({ storage: localStorage, recheckMs: 0, ...${JSON.stringify(options)} });
     for (const type of ["fallback", "migrated", "refreshed", "upgrade", "invalid", "error"])
       auth.addEventListener(type, ({ detail }) => told.push({ type, ...detail }));`,
  );
  return page;
}

const getKey = (page: Page) => page.evaluate<{ key: string; version: number }>("auth.getKey()");
const told = (page: Page) => page.evaluate<{ type: string }[]>("told");
const statusOf = (page: Page) =>
  page.evaluate<number>(`auth.fetch("/api/auth/v2/validate").then(({ status }) => status)`);
const withoutV2: Rule = (path) => (path.startsWith("/api/auth/v2/") ? 404 : "pass");

test("where V2 is there, a page gets a V2 key and calls with it", async () => {
  const page = await openPage();
  expect((await getKey(page)).version).toBe(2);
  expect(await statusOf(page)).toBe(200);
  expect((await getKey(page)).key).toBe((await getKey(page)).key);
});

test("as an ES module it is the same", async () => {
  const page = await openPage();
  const version = await page.evaluate<number>(
    `import("${site.origin}/api-auth-migration.mjs").then(({ create }) => create().getKey()).then(({ version }) => version)`,
  );
  expect(version).toBe(2);
});

describe("where V2 is not there", () => {
  test("V1 goes on; once it appears, the V1 key is exchanged, and kept", async () => {
    site.rule = withoutV2;
    const page = await openPage();
    const v1 = await getKey(page);
    expect(v1).toMatchObject({ version: 1, key: expect.stringMatching(/^lk1_/) });
    expect(await told(page)).toContainEqual({ type: "fallback", status: 404 });
    site.rule = () => "pass";
    const v2 = await getKey(page);
    expect(v2.version).toBe(2);
    expect((await told(page)).map(({ type }) => type)).toContain("migrated");
    // The switch: back to V1, without a word to the server.
    await page.evaluate("auth.v2Available = false");
    expect(await getKey(page)).toEqual(v1);
    await page.evaluate("auth.v2Available = undefined");
    expect(await getKey(page)).toEqual(v2);
  });

  test("a V1 key that the page has had so far is exchanged for one of its own family", async () => {
    const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    const { api_key, key_id } = await admin.registerLegacy({ name: "old page", key_type: "basic" });
    const page = await openPage();
    await page.evaluate(`auth.adoptV1(${JSON.stringify(api_key)})`);
    const { key } = await getKey(page);
    const { key_id: successor } = await admin.validate(key);
    expect((await admin.keys.show(successor)).family).toBe((await admin.keys.show(key_id)).family);
  });

  test("an error of the server decides nothing: V1 goes on, and V2 is tried again", async () => {
    site.rule = withoutV2;
    const page = await openPage();
    const v1 = await getKey(page);
    site.rule = (path) => (path.endsWith("/migrate") ? 500 : "pass");
    expect(await getKey(page)).toEqual(v1);
    site.rule = () => "pass";
    expect((await getKey(page)).version).toBe(2);
  });
});

test("with V1 forced from the start no V2 call is made", async () => {
  const page = await openPage({ v2Available: false });
  const paths: string[] = [];
  page.on("request", (request) => paths.push(new URL(request.url()).pathname));
  expect((await getKey(page)).version).toBe(1);
  expect(paths).toEqual(["/api/auth/register_api_key"]);
});

test("many tabs that share a storage refresh once, and all go on with the successor", async () => {
  const pages = await Promise.all([1, 2, 3].map(() => openPage({ keyType: "brief" })));
  const [first] = pages;
  if (first === undefined) throw new Error("no page");
  const old = (await getKey(first)).key;
  expect((await Promise.all(pages.map(getKey))).map(({ key }) => key)).toEqual([old, old, old]);
  const due = `JSON.parse(localStorage.getItem("api-auth")).v2.refresh_after`;
  await first.waitForFunction(`Date.now() >= Date.parse(${due})`, undefined, { timeout: 10_000 });
  const before = await refreshed();
  const keys = new Set((await Promise.all(pages.map(getKey))).map(({ key }) => key));
  expect([keys.size, keys.has(old), (await refreshed()) - before]).toEqual([1, false, 1]);
});

test("a refresh whose answer is lost is repeated with the same Idempotency-Key, and gives the same key", async () => {
  const page = await openPage({ keyType: "brief" });
  await getKey(page);
  const due = `JSON.parse(localStorage.getItem("api-auth")).v2.refresh_after`;
  await page.waitForFunction(`Date.now() >= Date.parse(${due})`, undefined, { timeout: 10_000 });
  const sent: (string | undefined)[] = [];
  await page.route("**/api/auth/v2/refresh", async (route) => {
    sent.push(route.request().headers()["idempotency-key"]);
    if (sent.length > 1) return route.continue();
    await route.fetch();
    return route.abort();
  });
  const before = await refreshed();
  await getKey(page);
  expect((await told(page)).map(({ type }) => type)).toEqual(["error"]);
  expect((await getKey(page)).version).toBe(2);
  expect([sent.length, sent[0] === sent[1], (await refreshed()) - before]).toEqual([2, true, 1]);
});

test("offline it says so, and goes on by itself when the network is back", async () => {
  const page = await openPage();
  site.rule = () => "cut";
  await expect(getKey(page)).rejects.toThrow();
  expect((await told(page)).map(({ type }) => type)).toContain("error");
  site.rule = () => "pass";
  expect((await getKey(page)).version).toBe(2);
});

test("a key that was revoked is replaced once, and the call is repeated", async () => {
  const page = await openPage();
  const { key } = await getKey(page);
  await createClient({ url: `http://${latchkey.http}` }).revoke(key);
  const replaced = await page.evaluate<number>(
    `(async () => { const own = fetch; window.fetch = async (input, init) => {
       const answer = await own(input, init);
       // Envoy says it so; the key API's own answers have it in the problem's type.
       if (answer.status === 401 && String(input).endsWith("/validate") && new Headers(init.headers).has("authorization"))
         return new Response("", { status: 401, headers: { "x-latchkey-reason": "key_revoked" } });
       return answer;
     }; return (await auth.fetch("/api/auth/v2/validate")).status; })()`,
  );
  expect(replaced).toBe(200);
  expect((await getKey(page)).key).not.toBe(key);
});

test("it works across origins that the server names, and reads what it is told there", async () => {
  const latchkeySite = { ...site, origin: `http://${latchkey.http}` };
  const page = await openPage({ baseUrl: latchkeySite.origin, v2Available: false }, elsewhere, latchkeySite);
  expect((await getKey(page)).version).toBe(1);
  const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  await admin.migration.set("deprecated");
  expect(await statusOf(page)).toBe(200);
  await admin.migration.set("silent");
  expect(await told(page)).toContainEqual({
    type: "upgrade",
    deprecation: expect.stringMatching(/^@\d+$/),
    sunset: "Mon, 01 Mar 2027 00:00:00 GMT",
  });
});

test("full rollback: after the phase went back to silent, V1 and V2 keys of a page are good", async () => {
  site.rule = withoutV2;
  const page = await openPage();
  const v1 = await getKey(page);
  site.rule = () => "pass";
  const v2 = await getKey(page);
  const admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  for (const phase of ["deprecated", "removed", "silent"] as const) await admin.migration.set(phase);
  for (const { key } of [v1, v2]) expect(await admin.validate(key)).toMatchObject({ valid: true });
});

/** Keys that the server has refreshed so far. */
async function refreshed(): Promise<number> {
  const text = await (await fetch(`http://${latchkey.ops}/metrics`)).text();
  const found = /keys_issued_total\{role="brief",how="refreshed"\} (\d+)/.exec(text);
  return Number(found?.[1] ?? 0);
}
