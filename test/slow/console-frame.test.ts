import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import type { TestedConsole } from "../support/console.ts";
import { collectViolations, expectAccessible, expectNoTrace, startConsole } from "../support/console.ts";
import { connectChecks } from "../support/direct-checks.ts";

const POLICY = `
roles:
  chief: { scopes: [keys:read, keys:write], ttl: 1d, refresh_window: 1h }
  auditor: { scopes: [audit:read], ttl: 1d, refresh_window: 1h }
routes: [{ path: /a/**, scopes: [keys:read] }]
`;
const FIELD = "Operator token or key";

let tested: TestedConsole;
beforeAll(async () => {
  tested = await startConsole({ policy: POLICY });
});
afterAll(() => tested?.stop());

const newKey = async (role: string) => {
  const { api_key: key, key_id: keyId } = await tested.client.register({ name: "n", key_type: role });
  return { key, keyId };
};
const newPage = async () => (await tested.newContext()).newPage();
const field = (page: Page) => page.getByLabel(FIELD);
const overview = (page: Page) => page.getByRole("row", { name: "this one" });

test("a person signs in by mouse, sees the overview, and signs out", async () => {
  const page = await newPage();
  const violations = await collectViolations(page);
  await page.goto(`${tested.origin}/console`);
  await field(page).waitFor();
  await expectAccessible(page);
  await field(page).fill(tested.adminToken);
  await page.getByRole("button", { name: "Sign in" }).click();
  await overview(page).waitFor();
  await expectNoTrace(page, tested.adminToken);
  await expectAccessible(page);
  await page.getByRole("button", { name: /^admin:/ }).click();
  await page.getByText("system:write").waitFor();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  await field(page).waitFor();
  // The browser keeps no session: neither this page nor another one of the profile has it.
  await page.reload();
  await field(page).waitFor();
  expect(await page.context().cookies()).toEqual([]);
  expect(await violations.all()).toEqual([]);
});

test("a person does the same by keyboard alone", async () => {
  const page = await newPage();
  await page.goto(`${tested.origin}/console`);
  await field(page).waitFor();
  await page.keyboard.type(tested.adminToken);
  await page.keyboard.press("Enter");
  await overview(page).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.evaluate('location.hash = "#/nowhere"');
  await page.getByText("There is no such page.").waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  await overview(page).waitFor();
  await focusByTab(page, /^admin:/);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Session" }).waitFor();
  await focusByTab(page, /^Sign out$/);
  await page.keyboard.press("Enter");
  await field(page).waitFor();
});

/** Presses Tab until an element with this text has the focus. */
async function focusByTab(page: Page, text: RegExp): Promise<void> {
  const seen: string[] = [];
  for (let presses = 0; presses < 40; presses++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate<string>("document.activeElement?.textContent ?? ''");
    if (text.test(focused.trim())) return;
    seen.push(focused);
  }
  throw new Error(`the keyboard does not reach ${text}: ${seen.join(" | ")}`);
}

test("a wrong credential is denied in a sentence, and nothing of it stays in the page", async () => {
  const page = await newPage();
  await page.goto(`${tested.origin}/console`);
  await field(page).fill("a-wrong-credential");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("The API key is not valid.").waitFor();
  expect(await field(page).inputValue()).toBe("");
  await expectNoTrace(page, "a-wrong-credential");
  await expectAccessible(page);
  await field(page).fill("with\u200Bhidden characters");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
});

test("a link signs in, and leaves the URL and the history at once", async () => {
  const page = await newPage();
  const { link } = await tested.client.console.link();
  await page.goto(`${tested.origin}/console#link=${link}`);
  await overview(page).waitFor();
  await expectNoTrace(page, link);
  await page.goto("about:blank");
  await page.goBack();
  await overview(page).waitFor();
  await expectNoTrace(page, link);

  const second = await newPage();
  await second.goto(`${tested.origin}/console#link=${link}`);
  await second.getByRole("alert").getByText("expired or was used before").waitFor();
  await expectNoTrace(second, link);
});

test("a link ends an open session only if the person agrees, and no tab shows what it has shown before", async () => {
  const page = await tested.open();
  await overview(page).waitFor();
  const { key, keyId } = await newKey("auditor");
  const follow = async (does: "accept" | "dismiss") => {
    const { link } = await createClient({ url: tested.origin, token: key }).console.link();
    const tab = await page.context().newPage();
    tab.once("dialog", (dialog) => void dialog[does]());
    await tab.goto(`${tested.origin}/console#link=${link}`);
    return tab;
  };
  await (await follow("dismiss")).getByRole("button", { name: /^admin:/ }).waitFor();
  await page.evaluate("document.querySelector('main').classList.add('before')");
  await (await follow("accept")).getByRole("button", { name: `key:${keyId}` }).waitFor();
  await page.getByRole("button", { name: `key:${keyId}` }).waitFor();
  expect(await page.locator(".before").count()).toBe(0);
});

test("a call that was on its way during a sign-in of another tab ends no session", async () => {
  const page = await tested.open();
  await overview(page).waitFor();
  const [caught, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  // It has the proof of the first session, and gets the cookie of the second one.
  await page.route("**/api/admin/status", async (route) => {
    caught.resolve();
    await released.promise;
    await route.continue();
  });
  await page.evaluate('location.hash = "#/migration"');
  await caught.promise;
  const { key, keyId } = await newKey("chief");
  const { link } = await createClient({ url: tested.origin, token: key }).console.link();
  const tab = await page.context().newPage();
  tab.once("dialog", (dialog) => void dialog.accept());
  await tab.goto(`${tested.origin}/console#link=${link}`);
  const person = { name: `key:${keyId}` };
  await tab.getByRole("button", person).waitFor();
  await page.getByRole("button", person).waitFor();
  const overtaken = page.waitForResponse((response) => response.status() === 401);
  released.resolve();
  await overtaken;
  await page.getByRole("button", person).waitFor();
  await tab.reload();
  await tab.getByRole("button", person).waitFor();
});

test("a reload and a second tab keep the session, another profile has none", async () => {
  const page = await tested.open();
  await page.reload();
  await overview(page).waitFor();
  const tab = await page.context().newPage();
  await tab.goto(`${tested.origin}/console`);
  await overview(tab).waitFor();
  const stranger = await newPage();
  await stranger.goto(`${tested.origin}/console`);
  await field(stranger).waitFor();
});

test("the session of a revoked key ends in the middle of its work, and says why", async () => {
  const { key, keyId } = await newKey("chief");
  const page = await tested.open("/", { credential: key });
  await overview(page).waitFor();
  await tested.client.keys.revoke(keyId);
  await page.getByText("The API key has been revoked.").waitFor();
  await field(page).waitFor();
  expect(await page.getByRole("navigation").count()).toBe(0);
});

test("a person with few scopes sees which one a page needs", async () => {
  const { key } = await newKey("auditor");
  const page = await tested.open("/", { credential: key });
  await page.getByText("does not have the scope keys:read").waitFor();
  await expectAccessible(page);
});

test("the figures of decisions arrive while the page is open", async () => {
  const page = await tested.open();
  await page.getByText("No decision yet.").waitFor();
  const checks = await connectChecks(tested.latchkey.grpc);
  await checks.check("/nowhere");
  await page.getByRole("row", { name: "credential_missing deny" }).waitFor();
  checks.close();
});

test("a slow call shows that it is loading, and a failing one its sentence with a way to try again", async () => {
  const page = await newPage();
  let mode: "hold" | "fail" | "pass" = "hold";
  const held = Promise.withResolvers<void>();
  await page.route("**/api/admin/figures", async (route) => {
    if (mode === "hold") await held.promise;
    if (mode === "pass") return route.continue();
    const problem = {
      type: "/problems/store-unavailable",
      title: "The key store is currently unavailable.",
      status: 503,
    };
    return route.fulfill({ status: 503, contentType: "application/problem+json", json: problem });
  });
  await page.goto(`${tested.origin}/console`);
  await field(page).fill(tested.adminToken);
  await page.keyboard.press("Enter");
  await page.getByText("Loading the figures…").waitFor();
  mode = "fail";
  held.resolve();
  await page.getByText("The key store is currently unavailable.").waitFor();
  await expectAccessible(page);
  mode = "pass";
  await page.getByRole("button", { name: "Try again" }).click();
  await overview(page).waitFor();
});

test("a sign-out that fails signs this browser out, and says what is left", async () => {
  const page = await tested.open();
  await page.route("**/api/console/session", (route) =>
    route.request().method() === "DELETE" ? route.abort() : route.continue(),
  );
  await page.getByRole("button", { name: /^admin:/ }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("This browser has signed out, but").waitFor();
  await page.reload();
  await field(page).waitFor();
});

test("figures that stop arriving stay, with their age", async () => {
  const page = await tested.open();
  await overview(page).waitFor();
  await page.context().setOffline(true);
  // The stream that is open goes on: end it by a change of the visibility, as a laptop that wakes up does.
  await page.evaluate('document.dispatchEvent(new Event("visibilitychange"))');
  await page.getByText(/^This is \d+ s old\.$/).waitFor();
  await overview(page).waitFor();
  await page.context().setOffline(false);
  await page.getByText("live", { exact: true }).waitFor();
});

test("a person who does nothing keeps the session only as long as the last action allows", async () => {
  const page = await tested.open();
  await overview(page).waitFor();
  const renewals: string[] = [];
  page.on("request", (request) => {
    if (request.method() === "PUT") renewals.push(request.url());
  });
  await page.evaluate("Date.now = () => performance.timeOrigin + performance.now() + 120_000");
  // Figures arrive by themselves and renew nothing.
  const checks = await connectChecks(tested.latchkey.grpc);
  await checks.check("/a/x", "not-a-key");
  await page.getByRole("row", { name: "credential_invalid deny" }).waitFor();
  checks.close();
  expect(renewals).toEqual([]);
  const renewed = page.waitForResponse((response) => response.request().method() === "PUT");
  await page.mouse.click(400, 400);
  expect((await renewed).status()).toBe(200);
});
