import { once } from "node:events";
import type { IncomingMessage, Server } from "node:http";
import { createServer, request } from "node:http";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestedConsole } from "../support/console.ts";
import { collectViolations, signIn, startConsole } from "../support/console.ts";
import { callAsPage, openSession } from "../support/console-calls.ts";

const POLICY = `
roles:
  reader: { scopes: [keys:read], ttl: 1d, refresh_window: 1h }
routes: [{ path: /a/**, scopes: [keys:read] }]
`;

let tested: TestedConsole;
/** A site on another port of the same host, with what it has received. */
let site: { readonly server: Server; readonly origin: string; readonly cookies: string[]; html: string };

beforeAll(async () => {
  tested = await startConsole({ policy: POLICY });
  const cookies: string[] = [];
  const server = createServer((call, response) => {
    if (call.headers.cookie !== undefined) cookies.push(call.headers.cookie);
    response.setHeader("content-type", "text/html").end(site.html);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  site = { server, cookies, origin: `http://127.0.0.1:${port}`, html: "<!doctype html><title>site</title>" };
});
afterAll(async () => {
  site?.server.closeAllConnections();
  site?.server.close();
  await tested?.stop();
});

const overview = (page: Page) => page.getByRole("row", { name: "this one" });
/** What a script of a page gets from a call: its status, or `blocked`. */
const attempt = (page: Page, path: string, init: object) =>
  page.evaluate<number | string>(
    `fetch(${JSON.stringify(tested.origin + path)}, ${JSON.stringify(init)}).then(({ status, type }) => status || type, () => "blocked")`,
  );

test("a page on another port of the host receives the cookie, and can do nothing with it", async () => {
  const page = await tested.open();
  await overview(page).waitFor();
  const { key_id: keyId } = await tested.client.register({ name: "n", key_type: "reader" });
  const evil = await page.context().newPage();
  await evil.goto(site.origin);
  // The browser sends it, because a cookie belongs to all ports of a host.
  expect(site.cookies.at(-1)).toContain("latchkey-console-");
  const credentials = { credentials: "include" };
  const revoke = { method: "DELETE", ...credentials };
  expect(await attempt(evil, `/api/admin/keys/${keyId}`, revoke)).toBe("blocked");
  const headers = { "x-latchkey-console": "guess" };
  expect(await attempt(evil, "/api/admin/status", { headers, ...credentials })).toBe("blocked");
  expect(await attempt(evil, "/api/admin/status", { mode: "no-cors", ...credentials })).toBe("opaque");
  expect((await tested.client.keys.show(keyId)).status).toBe("active");
  // Its server replays the cookie, with every header that it likes.
  const cookie = site.cookies.at(-1) ?? "";
  const address = tested.latchkey.http;
  for (const proof of ["", "guess", "none"])
    expect((await callAsPage(address, { cookie, proof }, { path: "/api/admin/status" })).status).toBe(401);
});

test("a page under another name of the same address has no session, and gets none of another name", async () => {
  const port = tested.latchkey.http.split(":").at(-1);
  const page = await tested.open();
  await overview(page).waitFor();
  const rebound = await page.context().newPage();
  // Chromium resolves every name under localhost to the loopback, as a rebinding name server does for its own name.
  await rebound.goto(`http://evil.localhost:${port}/console`);
  await rebound.getByLabel("Operator token or key").waitFor();
  const own = (path: string, init: object) =>
    rebound.evaluate<number>(
      `fetch(${JSON.stringify(path)}, ${JSON.stringify(init)}).then(({ status }) => status)`,
    );
  expect(await own("/api/admin/status", {})).toBe(401);
  expect(await own("/api/console/session", { headers: { "x-latchkey-console": "guess" } })).toBe(401);
});

test("the console cannot be framed, by its own origin either", async () => {
  const page = await (await tested.newContext()).newPage();
  site.html = `<!doctype html><title>site</title><iframe src="${tested.origin}/console"></iframe>`;
  await page.goto(site.origin);
  await page.waitForFunction("document.querySelector('iframe').contentWindow !== null");
  const frame = page.frames().find((candidate) => candidate !== page.mainFrame());
  await frame?.waitForLoadState();
  expect(frame?.url()).toMatch(/^chrome-error:|^$/);
});

test("markup and script in names and in the URL are text", async () => {
  const hostile = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202e{{x}}`;
  const page = await (await tested.newContext()).newPage();
  const violations = await collectViolations(page);
  await page.route("**/api/console/session", async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    await route.fulfill({ response, json: { ...body, name: hostile } });
  });
  await page.goto(
    `${tested.origin}/console#/${encodeURIComponent(hostile)}?x=${encodeURIComponent(hostile)}`,
  );
  await signIn(page, tested.adminToken);
  await page.getByText("There is no such page.").waitFor();
  await page.getByRole("button", { name: hostile }).click();
  await page.getByRole("dialog", { name: "Session" }).getByText(hostile).waitFor();
  expect(await page.evaluate("window.pwned")).toBeUndefined();
  expect(await page.locator("img").count()).toBe(0);
  expect(await violations.all()).toEqual([]);
});

test("an injected script does not run", async () => {
  const page = await tested.open();
  const blocked = await page.evaluate<readonly string[]>(`(() => {
    const tries = {
      innerHTML: () => { document.createElement("div").innerHTML = "<b>x</b>"; },
      src: () => { document.createElement("script").src = "data:text/javascript,window.pwned=1"; },
      write: () => { document.write("<b>x</b>"); },
    };
    return Object.entries(tries).filter(([, run]) => { try { run(); return false; } catch { return true; } }).map(([name]) => name);
  })()`);
  expect(blocked).toEqual(["innerHTML", "src", "write"]);
  await page.evaluate(`(() => {
    const link = document.createElement("a");
    link.href = "javascript:window.pwned=1";
    document.body.append(link);
    link.click();
  })()`);
  expect(await page.evaluate("window.pwned")).toBeUndefined();
});

test("two tabs of a profile act for the same person, also after one of them signs in as another", async () => {
  const first = await tested.open();
  await overview(first).waitFor();
  const { api_key: key, key_id: keyId } = await tested.client.register({ name: "n", key_type: "reader" });
  const second = await first.context().newPage();
  await second.goto(`${tested.origin}/console`);
  await second.getByRole("button", { name: /^admin:/ }).click();
  await second.getByRole("button", { name: "Sign out" }).click();
  await first.getByLabel("Operator token or key").waitFor();
  await signIn(second, key);
  await first.getByRole("button", { name: `key:${keyId}` }).waitFor();
});

test("an open stream ends with its session and with its key", async () => {
  const { api_key: key, key_id: keyId } = await tested.client.register({ name: "n", key_type: "reader" });
  const address = tested.latchkey.http;
  const [signedOut, revoked] = [await openSession(address, key), await openSession(address, key)];
  const streams = await Promise.all(
    [signedOut, revoked].map(({ cookie, proof }) => openStream({ cookie, proof })),
  );
  const [first, second] = streams.map(readToEnd);
  expect((await callAsPage(address, signedOut, { method: "DELETE" })).status).toBe(200);
  expect(await first).toContain("event: end\ndata: session-ended\n\n");
  await tested.client.keys.revoke(keyId);
  expect(await second).toContain("event: end\ndata: key-revoked\n\n");
});

interface Opened {
  readonly cookie: string;
  readonly proof: string;
}

async function openStream({ cookie, proof }: Opened): Promise<IncomingMessage> {
  const headers = { cookie, "x-latchkey-console": proof };
  const call = request(`${tested.origin}/api/admin/figures`, { headers, agent: false }).end();
  const [response]: IncomingMessage[] = await once(call, "response");
  if (response?.statusCode !== 200) throw new Error(`the stream was denied: ${response?.statusCode}`);
  return response;
}

async function readToEnd(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of response) text += String(part);
  return text;
}

test("no cache keeps what a session has read", async () => {
  const session = await openSession(tested.latchkey.http, tested.adminToken);
  for (const path of ["/api/admin/status", "/api/admin/keys", "/api/console/session", "/api/admin/policy"]) {
    const { status, headers } = await callAsPage(tested.latchkey.http, session, { path });
    expect([path, status, headers["cache-control"]]).toEqual([path, 200, "no-store"]);
  }
});
