import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { collectViolations, expectAccessible } from "../support/console.ts";
import { CLIENT, signInAt } from "../support/oidc.ts";
import type { OidcConsole } from "../support/oidc-console.ts";
import { startOidcConsole } from "../support/oidc-console.ts";

const ROLES = `
roles:
  basic: { scopes: [chat:read], ttl: 7d, refresh_window: 1d }
  admin: { scopes: [keys:read, keys:write, audit:read], may_grant: [basic], ttl: 1d, refresh_window: 6h }
routes: [{ path: /chat, scopes: [chat:read] }]
guards: { open_calls: 6000/m }
`;
const SUPPORT = "{ claim: groups, value: support, role: admin, scopes: [keys:read] }";
const OPS = "{ claim: groups, value: ops, role: admin }";
const policy = (...operators: readonly string[]) =>
  `${ROLES}console: { operators: [${operators.join(", ")}] }\n`;

let tested: OidcConsole;
beforeAll(async () => {
  tested = await startOidcConsole(policy(OPS, SUPPORT));
  await tested.client.policy.reload();
});
afterAll(() => tested?.stop());

async function open(sub: string, ...groups: readonly string[]): Promise<Page> {
  tested.provider.person = { sub, groups, name: "Ann Smith", email: "ann@example.com", email_verified: true };
  const page = await (await tested.newContext()).newPage();
  await collectViolations(page);
  await page.goto(`${tested.origin}/console`);
  return page;
}

const signInLink = (page: Page) => page.getByRole("link", { name: "Sign in with your account" });
const overview = (page: Page) => page.getByRole("heading", { name: "Overview" });

/** A call of the page, with its session. */
function call(page: Page, method: string, path: string, body?: object): Promise<number> {
  return page.evaluate<number>(
    `fetch(${JSON.stringify(path)}, { method: ${JSON.stringify(method)}, headers: { "x-latchkey-console":
      localStorage.getItem("latchkey-console-proof"), ...${JSON.stringify(body ? { "content-type": "application/json" } : {})} },
      ${body ? `body: JSON.stringify(${JSON.stringify(body)})` : ""} }).then(({ status }) => status)`,
  );
}

test("an operator signs in and out by mouse; the audit has the person, and no secret stays behind", async () => {
  const page = await open("u|1", "ops");
  await signInLink(page).waitFor();
  await expectAccessible(page);
  await signInLink(page).click();
  await overview(page).waitFor();
  const person = "person:u%7C1/ann@example.com";
  await page.getByRole("button", { name: person }).waitFor();
  expect(page.url()).toBe(`${tested.origin}/console`);
  expect(await call(page, "POST", "/api/auth/v2/register", { name: "k", key_type: "basic" })).toBe(201);
  const { events } = await tested.client.audit({ actor: person });
  expect(events.map(({ event }) => event)).toEqual(["person_signed_in", "key_registered"]);
  await page.getByRole("button", { name: person }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await signInLink(page).waitFor();
  expect(await call(page, "GET", "/api/admin/keys")).toBe(401);
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("an operator signs out of the provider too, and is asked who it is when it signs in again", async () => {
  const page = await open("u4", "ops");
  await signInLink(page).click();
  await page.getByRole("button", { name: "person:u4/ann@example.com" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  const link = page.getByRole("link", { name: "Sign out there too" });
  await link.waitFor();
  await expectAccessible(page);
  // The provider still knows the person.
  tested.provider.person = { ...tested.provider.person, sub: "u5" };
  await signInLink(page).click();
  await page.getByRole("button", { name: "person:u4/ann@example.com" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await link.click();
  await page.getByRole("button", { name: "Yes, sign me out" }).click();
  await signInLink(page).waitFor();
  expect(page.url()).toBe(`${tested.origin}/console`);
  expect(await call(page, "GET", "/api/admin/keys")).toBe(401);
  await signInLink(page).click();
  await page.getByRole("button", { name: "person:u5/ann@example.com" }).waitFor();
});

test("a sign-out of a session by a credential does not mention the provider", async () => {
  const other = await open("u6", "ops");
  await other.getByLabel("Operator token or key").fill(tested.adminToken);
  await other.getByRole("button", { name: "Sign in", exact: true }).click();
  await overview(other).waitFor();
  await other.getByRole("button", { name: /^admin:/ }).click();
  await other.getByRole("button", { name: "Sign out" }).click();
  await signInLink(other).waitFor();
  expect(await other.getByRole("link", { name: "Sign out there too" }).count()).toBe(0);
});

test("an operator signs in by keyboard alone", async () => {
  const page = await open("u2", "ops");
  await signInLink(page).waitFor();
  await expect
    .poll(() => page.evaluate("document.activeElement.textContent"))
    .toBe("Sign in with your account");
  await page.keyboard.press("Enter");
  await overview(page).waitFor();
});

test("a person gets what the mapping gives, and nothing more", async () => {
  const page = await open("u3", "support");
  await signInLink(page).click();
  await overview(page).waitFor();
  expect(await call(page, "GET", "/api/admin/keys")).toBe(200);
  expect(await call(page, "POST", "/api/auth/v2/register", { name: "k", key_type: "basic" })).toBe(403);
  expect(await call(page, "GET", "/api/admin/audit")).toBe(403);
  const outsider = await open("u4", "sales");
  await signInLink(outsider).click();
  await outsider.getByText("You have signed in, but the policy makes you no operator.").waitFor();
  await expectAccessible(outsider);
  expect(await call(outsider, "GET", "/api/admin/keys")).toBe(401);
});

test("a session ends when a reload takes its mapping away, in the middle of what it does", async () => {
  const page = await open("u5", "support");
  await signInLink(page).click();
  await overview(page).waitFor();
  await writeFile(join(tested.latchkey.cwd, "latchkey.yaml"), policy(OPS));
  await tested.client.policy.reload();
  expect(await call(page, "GET", "/api/admin/keys")).toBe(401);
  // The overview repeats its calls, and finds out by itself.
  await signInLink(page).waitFor();
  await writeFile(join(tested.latchkey.cwd, "latchkey.yaml"), policy(OPS, SUPPORT));
  await tested.client.policy.reload();
});

test("the incident switch ends the sessions of a role, as it ends its keys", async () => {
  const page = await open("u9", "support");
  await signInLink(page).click();
  await overview(page).waitFor();
  await tested.client.keys.revokeIssuedBefore({ before: new Date().toISOString(), role: "basic" });
  expect(await call(page, "GET", "/api/admin/keys")).toBe(200);
  await tested.client.keys.revokeIssuedBefore({ before: new Date().toISOString(), role: "admin" });
  expect(await call(page, "GET", "/api/admin/keys")).toBe(401);
});

test("without the provider no one signs in by it, and everything else works", async () => {
  const page = await open("u6", "ops");
  tested.provider.intercept = (request, response) =>
    request.url === "/token" && Boolean(response.writeHead(500).end());
  await signInLink(page).click();
  await page.getByText("The sign-in service does not respond.").waitFor();
  tested.provider.intercept = undefined;
  expect(page.url()).toBe(`${tested.origin}/console`);
  await page.getByLabel("Operator token or key").fill(tested.adminToken);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await overview(page).waitFor();
});

interface Started {
  readonly url: string;
  /** What a browser sends back. */
  readonly cookie: string;
}

/** Starts a sign-in as a browser does. */
async function startedSignIn(): Promise<Started> {
  const response = await fetch(`${tested.origin}/console/oidc`, { redirect: "manual" });
  const [cookie = ""] = (response.headers.getSetCookie()[0] ?? "").split(";");
  return { url: response.headers.get("location") ?? "", cookie };
}

async function callBack(callback: URL | string, cookie: string) {
  const response = await fetch(callback, { redirect: "manual", headers: { cookie } });
  const [set = ""] = (response.headers.getSetCookie()[0] ?? "").split(";");
  return { location: response.headers.get("location"), cookie: set };
}

/** The same cookie with one character changed. */
function flipped(cookie: string): string {
  const at = cookie.length - 40;
  return cookie.slice(0, at) + (cookie[at] === "A" ? "B" : "A") + cookie.slice(at + 1);
}

function exchange(cookie: string): Promise<Response> {
  const headers = { cookie, origin: tested.origin, "sec-fetch-site": "same-origin" };
  return fetch(`${tested.origin}/api/console/session/oidc`, { method: "POST", headers });
}

describe("a hostile callback", () => {
  test("opens nothing without the cookie of the browser that has started the sign-in", async () => {
    tested.provider.person = { sub: "u7", groups: ["ops"] };
    const [mine, theirs] = [await startedSignIn(), await startedSignIn()];
    const callback = await signInAt(tested.provider, mine.url);
    expect((await callBack(callback, "")).location).toBe("/console#sign-in=sign_in_expired");
    const [name = ""] = mine.cookie.split("=");
    for (const forged of [
      `${name}=x`,
      `${name}=${"A".repeat(200)}`,
      flipped(mine.cookie),
      `${mine.cookie}; ${mine.cookie}`,
    ])
      expect((await callBack(callback, forged)).location).toBe("/console#sign-in=sign_in_expired");
    expect((await callBack(callback, theirs.cookie)).location).toBe("/console#sign-in=sign_in_failed");
    const other = new URL(callback);
    other.searchParams.set("state", "x");
    expect((await callBack(other, mine.cookie)).location).toBe("/console#sign-in=sign_in_failed");
    expect((await callBack(`${callback}&x=${"y".repeat(9000)}`, mine.cookie)).location).toBe(
      "/console#sign-in=sign_in_failed",
    );
    // The provider has seen none of the above, so the code is still good. For the page of holders it is not.
    const keys = `${callback}`.replace("/console/oidc", "/keys/oidc");
    expect((await callBack(keys, mine.cookie.replace("latchkey-console", "latchkey-keys"))).location).toBe(
      "/keys#sign-in=sign_in_expired",
    );
    expect((await callBack(callback, mine.cookie)).location).toBe("/console#signed-in");
  });

  test("gives one session for one sign-in, to a page of the same origin only", async () => {
    tested.provider.person = { sub: "u8", groups: ["ops"] };
    const { url, cookie } = await startedSignIn();
    const callback = await signInAt(tested.provider, url);
    const done = await callBack(callback, cookie);
    expect((await callBack(callback, cookie)).location).toBe("/console#sign-in=sign_in_failed");
    const crossSite = await fetch(`${tested.origin}/api/console/session/oidc`, {
      method: "POST",
      headers: { cookie: done.cookie, origin: "https://evil.example", "sec-fetch-site": "cross-site" },
    });
    expect(crossSite.status).toBe(403);
    expect((await exchange(cookie)).status).toBe(401);
    const opened = await exchange(done.cookie);
    expect(opened.status).toBe(201);
    expect(opened.headers.getSetCookie().join()).toMatch(/HttpOnly; SameSite=Strict/);
    const again = await exchange(done.cookie);
    expect([again.status, await again.text()]).toEqual([401, expect.stringContaining("sign-in-expired")]);
  });

  test("opens no session after the incident switch, which ends what came before it", async () => {
    tested.provider.person = { sub: "u9", groups: ["ops"] };
    const { url, cookie } = await startedSignIn();
    const done = await callBack(await signInAt(tested.provider, url), cookie);
    await tested.client.keys.revokeIssuedBefore({ before: new Date().toISOString(), role: "admin" });
    // The switch rounds its moment up. A session that begins now would lie behind it.
    await setTimeout(2100);
    const opened = await exchange(done.cookie);
    expect([opened.status, await opened.text()]).toEqual([401, expect.stringContaining("session-ended")]);
  });

  test("leaves no code, no token, no client secret and no name of a claim in the log", async () => {
    const log = tested.latchkey.output();
    expect(log).not.toMatch(/code=|id_token|state=/);
    expect(log).not.toContain(CLIENT.secret);
    expect(log).toContain("/console/oidc/callback");
  });
});
