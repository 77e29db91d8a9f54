import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestedConsole } from "../support/console.ts";
import { collectViolations, expectAccessible, startConsole } from "../support/console.ts";
import { focused, goByKeys, tabTo } from "../support/keyboard.ts";
import { BUDGETS_POLICY, sampleBudgets } from "../support/sample-budgets.ts";

let tested: TestedConsole;
beforeAll(async () => {
  tested = await startConsole({ policy: BUDGETS_POLICY });
  await sampleBudgets(tested);
}, 120_000);
afterAll(() => tested?.stop());

const rows = (page: Page, table: string) => page.getByRole("table", { name: table }).getByRole("row");
const cells = async (page: Page, table: string, at: number) =>
  (await rows(page, table).nth(at).locator("th, td").allInnerTexts()).map((text) =>
    text.replaceAll(/\s+/g, " "),
  );

test("by mouse: who is near the end of a quota, who uses most, and which plans are used", async () => {
  const page = await tested.open("/budgets");
  await page.getByRole("table", { name: "Quotas near their end" }).waitFor();
  await expect
    .poll(() => cells(page, "Quotas near their end", 1))
    .toEqual(["owner initech", "100%", "daily, every day", "100", "100", expect.stringMatching(/^in /)]);
  await expect.poll(() => rows(page, "Quotas near their end").count()).toBe(5);
  await page.getByLabel("Used at least").selectOption("90%");
  await expect.poll(() => rows(page, "Quotas near their end").count()).toBe(3);
  await page.getByLabel("Mode").selectOption("shadow");
  await page.getByText("No quota has used 90% of its limit in its present window.").waitFor();
  await expect.poll(() => cells(page, "Largest usage", 1)).toEqual(["globex", "", "252", "0", "0", "264"]);
  await page.getByLabel("Of", { exact: true }).selectOption("families");
  await page.getByLabel("By", { exact: true }).selectOption("limited requests");
  await expect
    .poll(async () => (await cells(page, "Largest usage", 1)).slice(1))
    .toEqual([...["initech", "", "100", "9", "18", "100"]]);
  await page.getByLabel("Of", { exact: true }).selectOption("routes");
  await expect.poll(async () => (await cells(page, "Largest usage", 1))[0]).toBe("/v1/search/**");
  await expect
    .poll(() => cells(page, "Plans", 1))
    .toEqual([...["starter", "burst: 1,000 per key, 50/s", "daily: 100 per owner and day", "3", "0"]]);
  await page.getByRole("table", { name: "Plans" }).getByRole("link", { name: "1" }).click();
  await page.getByText("Only overrides with the plan pro.").waitFor();
  await expect.poll(() => rows(page, "Overrides").count()).toBe(2);
  await page.getByRole("link", { name: "Show all" }).click();
  await expect.poll(() => rows(page, "Overrides").count()).toBe(3);
  await expectAccessible(page);
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("by mouse: set an override with an end, see what it affects, change it, and clear it", async () => {
  const page = await tested.open("/budgets");
  await page.getByRole("button", { name: "Set an override" }).click();
  await page.getByLabel("Owner", { exact: true }).fill("acme");
  await page.getByRole("button", { name: "Review…" }).click();
  await page.getByText("Choose a plan, or add a quota.").waitFor();
  await page.getByLabel("Plan", { exact: true }).selectOption("pro");
  await page.getByRole("button", { name: "Add a quota" }).click();
  await page.getByLabel("Limit").fill("50,000");
  await page.getByLabel("Note").fill("Ticket 4711");
  await page.getByLabel("Ends").fill("2020-01-01T00:00");
  await page.getByRole("button", { name: "Review…" }).click();
  await page.getByText("Choose an end in the future").waitFor();
  await page.getByLabel("Ends").fill("2099-01-01T00:00");
  await expectAccessible(page);
  await page.getByRole("button", { name: "Review…" }).click();
  await page.getByText("1 active key").waitFor();
  await page.getByText("There is no override that it replaces.").waitFor();
  expect(await page.getByRole("button", { name: "Set the override" }).isDisabled()).toBe(true);
  await page.getByLabel("Type acme to confirm").fill("acme");
  await page.getByRole("button", { name: "Set the override" }).click();
  await page.getByText("The override of acme applies.").waitFor();
  expect(await tested.client.limits.showOverride({ owner: "acme" })).toMatchObject({
    plan: "pro",
    quotas: [{ name: "daily", limit: 50_000, extra: 0 }],
    note: "Ticket 4711",
  });
  await page.getByRole("button", { name: "Change the override of acme" }).click();
  await page.getByLabel("Note").fill("Ticket 4712");
  await page.getByRole("button", { name: "Review…" }).click();
  await page.getByRole("dialog").getByText("Ticket 4711").waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  expect(await page.getByLabel("Note").inputValue()).toBe("Ticket 4712");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByLabel("Owner or family").fill("acme");
  await page.getByRole("button", { name: "Find" }).click();
  await expect.poll(() => rows(page, "Overrides").count()).toBe(2);
  await page.getByRole("button", { name: "Clear the override of acme" }).click();
  await page.getByLabel("Type acme to confirm").fill("acme");
  await page.getByRole("button", { name: "Clear the override", exact: true }).click();
  await page.getByText("acme has no override.").waitFor();
  await expect(tested.client.limits.showOverride({ owner: "acme" })).rejects.toThrow();
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("an override that another operator has changed meanwhile is neither replaced nor cleared unseen", async () => {
  const of = { owner: "wayne" };
  await tested.client.limits.setOverride(of, { plan: "pro", note: "first" });
  const page = await tested.open("/budgets");
  const dialog = page.getByRole("dialog");
  await page.getByRole("button", { name: "Change the override of wayne" }).click();
  await page.getByRole("button", { name: "Review…" }).click();
  await dialog.getByText("first").nth(1).waitFor();
  await page.getByLabel("Type wayne to confirm").fill("wayne");
  await tested.client.limits.setOverride(of, { plan: "pro", note: "second" });
  const confirm = page.getByRole("button", { name: "Set the override" });
  await confirm.click();
  await dialog.getByText("The override has changed meanwhile.").waitFor();
  await dialog.getByText("admin:").waitFor();
  await dialog.getByText("second").waitFor();
  expect(await confirm.isDisabled()).toBe(true);
  expect((await tested.client.limits.showOverride(of)).note).toBe("second");
  await page.getByLabel("Type wayne to confirm").fill("wayne");
  await confirm.click();
  await page.getByText("The override of wayne applies.").waitFor();
  expect((await tested.client.limits.showOverride(of)).note).toBe("first");
  await page.getByRole("button", { name: "Clear the override of wayne" }).click();
  await tested.client.limits.setOverride(of, { plan: "pro", note: "third" });
  await page.getByLabel("Type wayne to confirm").fill("wayne");
  await page.getByRole("button", { name: "Clear the override", exact: true }).click();
  await dialog.getByText("third").waitFor();
  await expectAccessible(page);
  await page.getByLabel("Type wayne to confirm").fill("wayne");
  await page.getByRole("button", { name: "Clear the override", exact: true }).click();
  await page.getByText("The override of wayne is cleared.").waitFor();
  await expect(tested.client.limits.showOverride(of)).rejects.toMatchObject({ status: 404 });
  await page.context().close();
});

test("by keyboard alone: set an override and clear it", async () => {
  const page = await tested.open("/");
  await goByKeys(page, "b", "Budgets");
  const open = page.getByRole("button", { name: "Set an override" });
  await tabTo(page, open);
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByLabel("Owner", { exact: true }));
  await page.keyboard.type("initech");
  await tabTo(page, page.getByLabel("Plan", { exact: true }));
  await page.keyboard.press("p");
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByRole("button", { name: "Review…" }));
  await page.keyboard.press("Enter");
  // Until then nothing can be confirmed.
  await page.getByText("There is no override that it replaces.").waitFor();
  await tabTo(page, page.getByLabel("Type initech to confirm"));
  await page.keyboard.type("initech");
  await page.keyboard.press("Enter");
  await page.getByText("The override of initech applies.").waitFor();
  expect((await tested.client.limits.showOverride({ owner: "initech" })).plan).toBe("pro");
  // The focus is where the dialog was opened.
  await focused(page, open).waitFor();
  const clear = page.getByRole("button", { name: "Clear the override of initech" });
  await tabTo(page, clear);
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByLabel("Type initech to confirm"));
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await focused(page, clear).waitFor();
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByLabel("Type initech to confirm"));
  await page.keyboard.type("initech");
  await page.keyboard.press("Enter");
  await page.getByText("The override of initech is cleared.").waitFor();
});

const HOSTILE = `<img src=x onerror="document.title='hacked'">\u202e<script>alert(1)</script>`;

test("shows hostile values as text, however long they are", async () => {
  const page = await tested.open("/");
  const long = `${HOSTILE}${"x".repeat(10_000)}`;
  const counted = { complete: false, as_of: "2026-11-30T00:00:00Z" };
  const near = { mode: "enforce", every: "day", unit: long, used: 9, leased: 0, limit: 10, percent: 90 };
  const answers: Readonly<Record<string, object>> = {
    quotas: {
      ...{ above: 80, total: 1e9, counters_read: 1e9, ...counted },
      quotas: [{ ...near, name: long, subject: long, per: "owner", resets_at: counted.as_of }],
    },
    "usage/top": {
      ...{ of: "owner", by: "requests", from: "", to: "", families_read: 1, metering: "stopped", ...counted },
      top: [{ name: long, owner: null, allowed: 1e15, denied: 0, limited: 0, cost: 0 }],
    },
    overrides: {
      next_cursor: "more",
      overrides: [
        {
          ...{ owner: null, family: long, plan: long, plan_known: false, note: long },
          ...{
            quotas: [{ name: long, limit: 1, extra: 1, extra_until: null }],
            set_at: counted.as_of,
            expires_at: null,
          },
        },
      ],
    },
    plans: { plans: [], unknown: [{ name: long, overrides: 3 }] },
    "plans/keys": { plans: [{ name: long, known: false, keys: 7 }], keys_read: 9, ...counted },
  };
  for (const [path, json] of Object.entries(answers))
    await page.route(new RegExp(`/api/admin/${path}(\\?|$)`), (route) => route.fulfill({ json }));
  await page.goto(`${tested.origin}/console#/budgets`);
  await page.getByText("7 keys, 3 overrides").waitFor();
  await page.getByText("not in the policy").waitFor();
  await page.getByText("it has reached USAGE_MAX_BYTES").waitFor();
  await page.getByText("Counting: 1,000,000,000 counters read so far…").waitFor();
  await expectAccessible(page);
  expect(await page.title()).toBe("Budgets · Latchkey");
  expect(await page.locator("main img, main script").count()).toBe(0);
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

test("a failed part says so and recovers, the others stay, and a denied change keeps the dialog", async () => {
  const page = await tested.open("/");
  const problem = {
    type: "/problems/store-unavailable",
    title: "The key store is currently unavailable.",
    status: 503,
  };
  await page.route("**/api/admin/quotas?*", (route) => route.fulfill({ status: 503, json: problem }));
  await page.goto(`${tested.origin}/console#/budgets`);
  const near = page.locator("section").filter({ has: page.getByRole("heading", { name: "Quotas near" }) });
  await near.getByText("The key store is currently unavailable.").waitFor();
  await page.getByRole("table", { name: "Overrides" }).waitFor();
  await page.unroute("**/api/admin/quotas?*");
  await near.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("table", { name: "Quotas near their end" }).waitFor();
  await page.getByRole("button", { name: "Clear the override of hooli" }).click();
  await page.route("**/api/admin/owners/**", (route) => route.fulfill({ status: 503, json: problem }));
  await page.getByLabel("Type hooli to confirm").fill("hooli");
  await page.getByRole("button", { name: "Clear the override", exact: true }).click();
  await page.getByRole("dialog").getByText("The key store is currently unavailable.").waitFor();
  await page.unroute("**/api/admin/owners/**");
  expect((await tested.client.limits.showOverride({ owner: "hooli" })).note).toContain("Launch week");
});

test("a session without limits:write sees everything and changes nothing", async () => {
  const { api_key: credential } = await tested.client.register({ name: "s", key_type: "support" });
  const page = await tested.open("/budgets", { credential });
  await page.getByRole("table", { name: "Overrides" }).waitFor();
  for (const button of await page.getByRole("button", { name: /the override of|Set an override/ }).all())
    expect(await button.isDisabled()).toBe(true);
});
