import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page, Route } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestedConsole } from "../support/console.ts";
import { collectViolations, expectAccessible, startConsole } from "../support/console.ts";
import { goByKeys, tabTo } from "../support/keyboard.ts";
import { BUDGETS_POLICY } from "../support/sample-budgets.ts";

/** More than a page. */
const KEYS = 130;

let tested: TestedConsole;
beforeAll(async () => {
  tested = await startConsole({ policy: BUDGETS_POLICY });
  for (let made = 0; made < KEYS; made++)
    await tested.client.register({
      name: `key ${made}`,
      key_type: "basic",
      owner: made === 0 ? "first" : "acme",
    });
});
afterAll(() => tested?.stop());

const events = (page: Page) => page.getByRole("table", { name: "Audit events" }).getByRole("row");

test("by mouse: filter, share the filter by its URL, go back in time, and clear the filter", async () => {
  const page = await tested.open("/audit");
  await expect.poll(() => events(page).count()).toBe(101);
  await page.getByRole("button", { name: "Show earlier events" }).click();
  await expect.poll(() => events(page).count()).toBe(KEYS + 1);
  await page.getByRole("button", { name: "Show earlier events" }).waitFor({ state: "detached" });
  await page.getByLabel("Owner").fill("first");
  await page.getByLabel("Event", { exact: true }).selectOption("key_registered");
  await page.getByRole("button", { name: "Apply" }).click();
  await expect.poll(() => events(page).count()).toBe(2);
  await page.reload();
  await expect.poll(() => events(page).count()).toBe(2);
  await expectAccessible(page);
  await page.getByLabel("Outcome").selectOption("denied");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText("No event matches the filter.").waitFor();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await expect.poll(() => events(page).count()).toBe(101);
  await page.getByLabel("Before").fill("2020-01-01T00:00");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText("No event matches the filter.").waitFor();
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("follows new events, and no longer when it is switched off", async () => {
  const page = await tested.open("/audit?owner=followed");
  await page.getByText("No event matches the filter.").waitFor();
  const { key_id: keyId } = await tested.client.register({
    name: "n",
    key_type: "basic",
    owner: "followed",
  });
  await page.getByRole("row", { name: keyId }).waitFor();
  await page.getByRole("status").filter({ hasText: "1 new event" }).waitFor({ state: "attached" });
  await page.getByLabel("Follow new events").uncheck();
  let calls = 0;
  await page.route("**/api/admin/audit?*", (route) => {
    calls++;
    return route.continue();
  });
  // The page repeats this call, so a round of following would have been due.
  for (let round = 0; round < 4; round++) await page.waitForResponse("**/api/admin/audit/verification");
  expect(calls).toBe(0);
});

test("by keyboard alone: verify the chain, and find the line that was changed", async () => {
  const page = await tested.open("/");
  await goByKeys(page, "a", "Audit");
  await page.keyboard.press("/");
  await page.keyboard.type("nobody");
  await page.keyboard.press("Enter");
  await page.getByText("No event matches the filter.").waitFor();
  const verify = page.getByRole("button", { name: "Verify the chain" });
  await tabTo(page, verify);
  await page.keyboard.press("Enter");
  await page.getByText("none was changed, none is missing").waitFor();
  const path = join(tested.latchkey.cwd, "logs/api.log");
  const lines = (await readFile(path, "utf8")).split("\n");
  const at = lines.slice(0, 100).join("\n").length + 1 + (lines[100] ?? "").indexOf("key_registered");
  const file = await open(path, "r+");
  await file.write("key_revoked   ", at);
  await tabTo(page, verify);
  await page.keyboard.press("Enter");
  await page.getByText(/api\.log:101\b.*was changed/).waitFor();
  await expectAccessible(page);
  await file.write("key_registered", at);
  await file.close();
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

async function saved(page: Page, save: () => Promise<unknown>): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent("download"), save()]);
  return readFile(await download.path(), "utf8");
}

test("exports what matches: CSV by mouse, and lines of JSON by keyboard", async () => {
  await tested.client.limits.setOverride({ owner: "csv" }, { plan: "pro", note: '=1+1,"quoted"' });
  const page = await tested.open("/audit?owner=csv");
  await page.getByRole("button", { name: "Export…" }).click();
  await expectAccessible(page);
  const csv = await saved(page, () => page.getByRole("button", { name: "Save the file" }).click());
  expect(csv.split("\r\n").slice(0, 2)).toEqual([
    "time,event,outcome,reason,actor,key_id,family,owner,role,plan,address,request_id,event_id,cursor",
    expect.stringContaining('limits_set,done,"note: =1+1,""quoted""",admin:'),
  ]);
  await page.getByText(/^Saved/).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.goto(`${tested.origin}/console#/audit`);
  await tabTo(page, page.getByRole("button", { name: "Export…" }));
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByRole("dialog").getByLabel("Format"));
  await page.keyboard.press("ArrowDown");
  await tabTo(page, page.getByRole("button", { name: "Save the file" }));
  const lines = await saved(page, () => page.keyboard.press("Enter"));
  const parsed = lines
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const { events: all } = await tested.client.audit({ limit: 500 });
  expect(parsed.map(({ event_id }) => event_id)).toEqual(all.map(({ event_id }) => event_id).reverse());
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

const HOSTILE = `<img src=x onerror="document.title='hacked'">\u202e<script>alert(1)</script>`;

test("shows hostile values as text, however long they are", async () => {
  const page = await tested.open("/");
  await page.route("**/api/admin/audit?*", async (route: Route) => {
    const texts = ["actor", "address", "reason", "key_id", "family", "owner", "role", "plan", "event"];
    const event = {
      ...Object.fromEntries(texts.map((name) => [name, `${HOSTILE}${name}`])),
      ...{ reason: `${HOSTILE}reason${"x".repeat(10_000)}`, owner: "x".repeat(10_000) },
      ...{ cursor: "1", event_id: "e", time: "2026-11-30T00:00:00Z", outcome: "refused", request_id: null },
    };
    await route.fulfill({ json: { events: [event], next_cursor: "1", previous_cursor: null } });
  });
  await page.goto(`${tested.origin}/console#/audit`);
  await page.getByText(`${HOSTILE}reason`, { exact: false }).waitFor();
  await expectAccessible(page);
  expect(await page.title()).toBe("Audit · Latchkey");
  expect(await page.locator("main img, main script").count()).toBe(0);
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("keeps what it shows with its age while the API fails, and goes on by itself", async () => {
  const page = await tested.open("/audit?owner=first");
  await expect.poll(() => events(page).count()).toBe(2);
  await page.route("**/api/admin/audit?*", (route) => route.fulfill({ status: 503, json: PROBLEM }));
  await page.getByText("The key store is currently unavailable.").waitFor();
  await page.getByText(/This is .* old\./).waitFor();
  expect(await events(page).count()).toBe(2);
  await page.unroute("**/api/admin/audit?*");
  await page.getByText(/This is .* old\./).waitFor({ state: "detached" });
});

const PROBLEM = {
  type: "/problems/store-unavailable",
  title: "The key store is currently unavailable. Try again later.",
  status: 503,
};

test("says which scope a session lacks", async () => {
  const { api_key: credential } = await tested.client.register({ name: "b", key_type: "billing" });
  const page = await tested.open("/audit", { credential });
  await page.getByText("audit:read").waitFor();
  await expectAccessible(page);
});
