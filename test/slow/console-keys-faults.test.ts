import type { Page, Route } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestedConsole } from "../support/console.ts";
import {
  collectViolations,
  expectAccessible,
  expectNoTrace,
  NARROW,
  signIn,
  startConsole,
} from "../support/console.ts";
import { manyKeys } from "../support/sample-registry.ts";

const KEYS = 100_000;

let tested: TestedConsole;

beforeAll(async () => {
  tested = await startConsole({ env: { DATA_DIR: await manyKeys(KEYS) } });
}, 120_000);
afterAll(() => tested?.stop());

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });

const register = (name: string, owner: string) =>
  tested.client.register({ name, owner, key_type: "contributor" });

/** A problem as the API sends it. */
function problem(route: Route, status: number, title: string): Promise<void> {
  return route.fulfill({
    status,
    contentType: "application/problem+json",
    body: JSON.stringify({ type: "/problems/store-unavailable", title, status }),
  });
}

test("100,000 keys: the first page comes at once, and a rare name is found with the progress shown", async () => {
  const page = await tested.open("/keys");
  await page.getByText("100 keys so far").waitFor();
  await page.getByRole("searchbox", { name: "Search" }).fill("RARE");
  await page.getByText(/read [\d,]+ of about 100,000 records/).waitFor();
  await page.getByText("10 keys", { exact: true }).waitFor();
  expect(await page.locator("table th[scope=row]").count()).toBe(10);
  await page.getByRole("searchbox", { name: "Search" }).fill("no such key");
  await button(page, "Stop").click();
  await button(page, "Look for more").waitFor();
  // An owner has an index.
  await page.getByRole("searchbox", { name: "Search" }).fill("");
  await page.getByLabel("Owner").fill("owner-7");
  await page.getByText("1,000 live keys, last used never.").waitFor();
  await page.getByText("100 keys so far").waitFor();
  await button(page, "Look for more").click();
  await page.getByText("200 keys so far").waitFor();
});

test("names that a client chose are text, whatever they contain", async () => {
  const owner = "hostile";
  const names = [
    '<script>parent.violations.push("run")</script>',
    '"><img src=x onerror=violations.push("run")>',
    "\u202Eemit-ni-detrevni\u202C \u2067rtl",
    "{{7*7}} %s &lt;",
    "e\u0301".repeat(60),
  ];
  for (const name of names) await register(name, owner);
  const page = await tested.open("/keys?owner=hostile", { context: { viewport: NARROW } });
  await page.getByText("5 keys", { exact: true }).waitFor();
  expect(await page.locator("table th[scope=row]").allTextContents()).toEqual(names);
  await expectAccessible(page);
  for (const name of names) {
    await page.locator("table th[scope=row] a", { hasText: name }).click();
    await page.locator("h1", { hasText: name }).waitFor();
    await page.goBack();
  }
  // The API accepts no longer names. The page survives them anyway.
  const long = `${"W".repeat(5000)} ${"\u202E<b>".repeat(1250)}`;
  const { key_id: keyId } = await register("short", owner);
  await page.route(`**/api/admin/keys/${keyId}`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), name: long, owner: long } });
  });
  await page.goto(`${tested.origin}/console#/keys/${keyId}`);
  await page.locator("h1", { hasText: "WWW" }).waitFor();
  await expectAccessible(page);
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("a slow and a failing API are shown, and the last figures stay with their age", async () => {
  const page = await tested.open("/");
  const held = Promise.withResolvers<void>();
  let fails = false;
  await page.route(/\/api\/admin\/keys\?/, async (route) => {
    await held.promise;
    return fails ? problem(route, 503, "The store is not available.") : route.continue();
  });
  await page.goto(`${tested.origin}/console#/keys`);
  await page.getByText("Searching…").waitFor();
  fails = true;
  held.resolve();
  await page.getByText("The store is not available.").waitFor();
  await expectAccessible(page);
  fails = false;
  await button(page, "Try again").click();
  await page.getByText("100 keys so far").waitFor();

  const { key_id: keyId } = await register("steady", "steady");
  await page.goto(`${tested.origin}/console#/keys/${keyId}`);
  await page.getByRole("heading", { name: "steady" }).waitFor();
  await page.route(/\/api\/admin\/keys(:count|\/)/, (route) =>
    problem(route, 503, "The store is not available."),
  );
  await button(page, "Revoke the family").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("The store is not available.").waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await button(page, "Disable").click();
  await dialog.getByRole("button", { name: "Disable" }).click();
  await dialog.getByRole("alert").getByText("The store is not available.").waitFor();
  expect((await tested.client.keys.show(keyId)).status).toBe("active");
  await page.unroute(/\/api\/admin\/keys(:count|\/)/);
  await dialog.getByRole("button", { name: "Disable" }).click();
  await page.getByText("Disabled. Every instance denies the key.").waitFor();
  // The record cannot be loaded again after the change: the last one stays, and says that it is old.
  await page.route(`**/api/admin/keys/${keyId}`, (route) =>
    route.request().method() === "GET"
      ? problem(route, 503, "The store is not available.")
      : route.continue(),
  );
  await button(page, "Undo").click();
  await page.getByText(/This is .* old\./).waitFor();
  await page.getByRole("heading", { name: "steady" }).waitFor();
});

test("a registration whose response was lost makes one key, however often it is repeated", async () => {
  const page = await tested.open("/keys/new");
  let lost = 0;
  await page.route("**/api/auth/v2/register", async (route) => {
    if (lost++ > 1) return route.continue();
    await route.fetch();
    return route.abort();
  });
  await page.getByLabel("Name").fill("once");
  await page.getByLabel("Owner").fill("once");
  for (let attempt = 0; attempt < 2; attempt++) {
    await button(page, "Register").click();
    await page.getByText("Latchkey does not respond.").waitFor();
  }
  await button(page, "Register").click();
  await page.getByRole("region", { name: "New key" }).waitFor();
  expect((await tested.client.keys.total({ owner: "once" })).keys).toBe(1);
});

test("a session that is revoked in mid-action changes nothing, and the page is there after the next sign-in", async () => {
  const operator = await tested.client.register({ name: "operator", key_type: "admin", owner: "staff" });
  const { key_id: keyId } = await register("target", "target");
  const page = await tested.open(`/keys/${keyId}`, { credential: operator.api_key });
  await button(page, "Revoke the key").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(/^Type/).fill("target");
  await tested.client.keys.revoke(operator.key_id);
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await page.getByLabel("Operator token or key").waitFor();
  expect((await tested.client.keys.show(keyId)).status).toBe("active");
  await expectNoTrace(page, operator.api_key);
  await signIn(page, tested.adminToken);
  await page.getByRole("heading", { name: "target" }).waitFor();
});

test("a new key is not in the page after its session has ended", async () => {
  const operator = await tested.client.register({ name: "operator", key_type: "admin", owner: "staff" });
  const page = await tested.open("/keys/new", { credential: operator.api_key });
  await page.getByLabel("Name").fill("unstored");
  await button(page, "Register").click();
  const key = await page.getByRole("region", { name: "New key" }).locator("pre").innerText();
  await tested.client.keys.revoke(operator.key_id);
  await page.evaluate("location.hash = '#/keys'");
  await page.getByLabel("Operator token or key").waitFor();
  await expectNoTrace(page, key);
});

test("without a scope the page says which one is missing, and offers nothing that would be denied", async () => {
  const policy = await tested.client.policy.roles();
  expect(policy.roles.map(({ name }) => name)).toContain("admin");
  const reader = await tested.client.register({ name: "reader", key_type: "admin", scopes: ["keys:read"] });
  const { key_id: keyId } = await register("seen", "seen");
  const page = await tested.open(`/keys/${keyId}`, { credential: reader.api_key });
  await page.getByRole("heading", { name: "seen" }).waitFor();
  await page.getByText("keys:write").waitFor();
  await page.getByText("audit:read").waitFor();
  for (const name of ["Rotate", "Disable", "Revoke the key"])
    expect(await button(page, name).count()).toBe(0);
  await expectAccessible(page);
  await page.goto(`${tested.origin}/console#/keys/new`);
  await page.getByText("This session does not have the scope").waitFor();
  expect(await button(page, "Register").count()).toBe(0);
});
