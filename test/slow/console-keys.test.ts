import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { IssuedKey } from "../../src/client/types.ts";
import type { TestedConsole } from "../support/console.ts";
import { collectViolations, expectAccessible, expectNoTrace, startConsole } from "../support/console.ts";
import { pressOn, tabTo, typeInto } from "../support/keyboard.ts";
import { SAMPLE_POLICY, sampleRegistry } from "../support/sample-registry.ts";

let tested: TestedConsole;
let sampleKeyId: string;

beforeAll(async () => {
  const sample = await sampleRegistry();
  sampleKeyId = sample.keyId;
  tested = await startConsole({ env: { DATA_DIR: sample.dataDir }, policy: SAMPLE_POLICY });
});
afterAll(() => tested?.stop());

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const link = (page: Page, name: string) => page.getByRole("link", { name, exact: true });

/** The names in the table of keys, when the search has ended. */
async function foundNames(page: Page): Promise<readonly string[]> {
  await page
    .getByRole("region", { name: "Results" })
    .getByText(/^\d+ keys?$/)
    .waitFor();
  return page.locator("table th[scope=row]").allInnerTexts();
}

async function register(name: string, owner: string): Promise<IssuedKey> {
  return tested.client.register({ name, owner, key_type: "contributor" });
}

const statusOf = async (keyId: string) => (await tested.client.keys.show(keyId)).status;

test("keys are found by each filter, and the search is in the URL", async () => {
  const page = await tested.open("/keys");
  expect(await foundNames(page)).toContain("billing-sync");
  await expectAccessible(page);
  const expectFound = async (names: readonly string[]) => expect.poll(() => foundNames(page)).toEqual(names);
  const showAll = async () => {
    await link(page, "All").click();
    await expect.poll(() => foundNames(page)).toHaveLength(16);
  };
  await page.getByLabel("Search", { exact: true }).fill("NODE-eu");
  await expectFound(["node-eu-1", "node-eu-2"]);
  await page.reload();
  await expectFound(["node-eu-1", "node-eu-2"]);
  await page.getByLabel("Search", { exact: true }).fill("");
  await page.getByLabel("Owner").fill("umbrella");
  await expectFound(["partner-feed", "dashboard", "מפתח לבדיקה"]);
  await page.getByText("3 live keys").waitFor();
  await page.getByLabel("Role").selectOption("basic");
  await page.getByLabel("Plan").selectOption("free");
  await expectFound(["dashboard"]);
  await showAll();
  await page.getByLabel("Status").selectOption("disabled");
  await expectFound(["nightly-export"]);
  await showAll();
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  await page.getByLabel("Status").selectOption("active");
  await page.getByLabel("Expires before").fill(inDays(4));
  await expectFound(["mobile-app", "dashboard", "billing-sync"]);
  await showAll();
  await page.getByLabel("Unused since").fill(inDays(-2));
  await page.getByLabel("Search", { exact: true }).fill("checkout");
  await expectFound(["checkout-service", "checkout-service", "checkout-service"]);
  await page.getByLabel("Search", { exact: true }).fill("no such key");
  await page.getByText("No key matches.").waitFor();
  // A key in the place of its id leads to its record, and is kept nowhere.
  const { api_key: pasted } = await register("pasted", "paster");
  const sent: string[] = [];
  page.on("request", (request) => sent.push(request.url()));
  await page.getByLabel("Search", { exact: true }).fill(pasted);
  await page.getByRole("heading", { name: "pasted" }).waitFor();
  await expectNoTrace(page, pasted.slice(0, 60));
  expect(sent.filter((url) => url.includes(pasted.slice(0, 60)))).toEqual([]);
  await page.goBack();
  await page.getByLabel("Search", { exact: true }).fill(sampleKeyId);
  await page.getByLabel("Search", { exact: true }).press("Enter");
  await page.getByRole("heading", { name: "checkout-service" }).waitFor();
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("a key's page shows its family, limits, usage and audit events", async () => {
  const page = await tested.open(`/keys/${sampleKeyId}`);
  await page.locator(".timeline").getByText("Rotated").waitFor();
  const titles = await page.locator(".timeline strong").allInnerTexts();
  expect(titles).toEqual(["Rotated", "Enabled", "Disabled", "Refreshed", "Refreshed", "Registered"]);
  await page.getByRole("row", { name: /monthly.*250,000 of 250,000/ }).waitFor();
  await page.getByRole("row", { name: /per-owner.*6,000 of 6,000/ }).waitFor();
  await page.getByRole("img", { name: "Requests by day" }).waitFor();
  await page.getByText("Days as a table").click();
  const days = page.getByRole("region", { name: "Requests by day" }).getByRole("row");
  await expect.poll(() => days.count()).toBe(31);
  await page.getByRole("row", { name: /key_rotated done admin:maria/ }).waitFor();
  await expectAccessible(page);
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("by mouse: a key is registered, shown once, copied, rotated, disabled, enabled again and revoked", async () => {
  const page = await tested.open("/keys", {
    context: { permissions: ["clipboard-read", "clipboard-write"] },
  });
  await link(page, "Register a key").click();
  await page.getByLabel("Name").fill("by mouse");
  await page.getByLabel("Role").selectOption("contributor");
  await page.getByLabel("Owner").fill("mouse");
  await page.getByLabel("data:write").uncheck();
  await expectAccessible(page);
  await button(page, "Register").click();
  const panel = page.getByRole("region", { name: "New key" });
  const key = await panel.locator("pre").innerText();
  await expectAccessible(page);
  await button(page, "Copy the key").click();
  await button(page, "Copied").waitFor();
  expect(await page.evaluate("navigator.clipboard.readText()")).toBe(key);
  const { key_id: keyId, scopes } = await tested.client.validate(key);
  expect(scopes).not.toContain("data:write");
  await button(page, "I have stored it").click();
  await page.getByRole("heading", { name: "by mouse" }).waitFor();
  await expectNoTrace(page, key);

  await button(page, "Rotate").click();
  await page.getByLabel("Overlap").selectOption("3600");
  await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
  const next = await panel.locator("pre").innerText();
  expect(await statusOf(keyId)).toBe("superseded");
  await button(page, "I have stored it").click();
  await expectNoTrace(page, next);
  await page.goBack();
  await page.goForward();
  await expectNoTrace(page, next);
  await expectNoTrace(page, key);

  await button(page, "Disable").click();
  await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
  await button(page, "Undo").waitFor();
  expect(await statusOf(keyId)).toBe("disabled");
  await button(page, "Undo").click();
  await page.getByText("Enabled. Every instance accepts the key again.").waitFor();
  expect(await statusOf(keyId)).toBe("superseded");

  await button(page, "Revoke the key").click();
  const dialog = page.getByRole("dialog");
  const confirm = dialog.getByRole("button", { name: "Revoke" });
  expect(await confirm.isDisabled()).toBe(true);
  await dialog.getByLabel(/^Type/).fill("by mouse");
  await expectAccessible(page);
  await confirm.click();
  await page.getByText("Revoked. Every instance denies these keys.").waitFor();
  expect(await statusOf(keyId)).toBe("revoked");
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("by mouse: a family and an owner's keys are revoked, after the count of what that affects", async () => {
  const first = await register("first", "doomed");
  const second = await register("second", "doomed");
  const next = await tested.client.keys.rotate(first.key_id, { overlap: 3600 });
  const page = await tested.open(`/keys/${first.key_id}`);
  await button(page, "Revoke the family").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("2 live keys").waitFor();
  const { family } = await tested.client.keys.show(first.key_id);
  await dialog.getByLabel(/^Type/).fill(family.slice(-8));
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await page.getByText("Revoked. Every instance denies these keys.").waitFor();
  expect(await Promise.all([first, next, second].map(({ key_id }) => statusOf(key_id)))).toEqual([
    "revoked",
    "revoked",
    "active",
  ]);
  await page.goto(`${tested.origin}/console#/keys?owner=doomed`);
  await page.getByText("1 live key").waitFor();
  await button(page, "Revoke all keys of this owner").click();
  await dialog.getByText("1 live key of 3 keys, last used never.").waitFor();
  await dialog.getByLabel("Type doomed to confirm").fill("doomed");
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await page.getByText("The keys of doomed are revoked.").waitFor();
  expect(await statusOf(second.key_id)).toBe("revoked");
});

test("by keyboard alone: find, register, rotate, disable, undo and revoke", async () => {
  const page = await tested.open("/");
  const { keyboard } = page;
  await keyboard.press("g");
  await keyboard.press("k");
  await page.getByRole("heading", { name: "Keys" }).waitFor();
  await keyboard.press("/");
  await keyboard.type("search-indexer");
  await pressOn(page, link(page, "search-indexer"));
  await page.getByRole("heading", { name: "search-indexer" }).waitFor();
  await pressOn(page, page.getByRole("main").getByRole("link", { name: "Keys", exact: true }));
  await pressOn(page, link(page, "Register a key"));
  await typeInto(page, page.getByLabel("Name"), "by keyboard");
  await typeInto(page, page.getByLabel("Owner"), "keyboard");
  await keyboard.press("Enter");
  const panel = page.getByRole("region", { name: "New key" });
  const key = await panel.locator("pre").innerText();
  const { key_id: keyId } = await tested.client.validate(key);
  await pressOn(page, button(page, "I have stored it"));
  await page.getByRole("heading", { name: "by keyboard" }).waitFor();

  await pressOn(page, button(page, "Rotate"));
  await tabTo(page, page.getByLabel("Overlap"));
  await keyboard.type("1 day");
  await pressOn(page, page.getByRole("dialog").getByRole("button", { name: "Rotate" }));
  await pressOn(page, button(page, "I have stored it"));
  await pressOn(page, button(page, "Disable"));
  await page.getByRole("dialog").waitFor();
  await keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await pressOn(page, button(page, "Disable"));
  await pressOn(page, page.getByRole("dialog").getByRole("button", { name: "Disable" }));
  await pressOn(page, button(page, "Undo"));
  await page.getByText("Enabled. Every instance accepts the key again.").waitFor();
  await pressOn(page, button(page, "Revoke all keys of the owner"));
  await page.getByRole("dialog").getByText("2 live keys").waitFor();
  await typeInto(page, page.getByLabel("Type keyboard to confirm"), "keyboard");
  await keyboard.press("Enter");
  await page.getByText("Revoked. Every instance denies these keys.").waitFor();
  expect(await statusOf(keyId)).toBe("revoked");
});
