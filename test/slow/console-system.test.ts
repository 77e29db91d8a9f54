import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { removeAtEnd } from "../support/at-end.ts";
import type { TestedConsole } from "../support/console.ts";
import { collectViolations, expectAccessible, startConsole } from "../support/console.ts";
import { focused, tabTo } from "../support/keyboard.ts";
import { newSecret } from "../support/keys.ts";
import { runHere } from "../support/program.ts";

const POLICY = `roles:
  basic: { scopes: [chat:read], ttl: 2s, refresh_window: 1s, self_service: true }
  chief: { scopes: [keys:read, system:read, system:write], ttl: 1d, refresh_window: 1h }
routes: [{ path: /chat, scopes: [chat:read] }]
`;
const AUDIT_KEY = newSecret();

let tested: TestedConsole;
let keysFile: string;
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-console-"));
  removeAtEnd(folder);
  keysFile = join(folder, "keys.json");
  await rotate("add");
  const env = { JWT_SECRET: "", JWT_KEYS_FILE: keysFile, AUDIT_KEY };
  tested = await startConsole({ env, policy: POLICY });
  for (const role of ["basic", "basic", "chief"]) {
    const { api_key: key } = await tested.client.registerLegacy({ name: "v1", key_type: role });
    if (role === "chief") await tested.client.migrate(key);
  }
});
afterAll(() => tested?.stop());

async function rotate(...args: readonly string[]): Promise<void> {
  const { status, stderr } = await runHere(["secrets", ...args], { JWT_KEYS_FILE: keysFile });
  expect({ status, stderr }).toMatchObject({ status: 0 });
}

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const phase = async () => (await tested.client.migration.show()).phase;

describe("the migration", () => {
  test("shows what each phase means, and is switched by mouse after its name was typed", async () => {
    const page = await tested.open("/migration");
    await page.getByRole("row", { name: /^removed .* 0 1, in .* 2 0 0/ }).waitFor();
    await expectAccessible(page);
    await button(page, "Switch to active").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("3 V1 keys stay valid.").waitFor();
    const confirm = dialog.getByRole("button", { name: "Switch to active" });
    await page.getByLabel("Type active to confirm").fill("removed");
    expect(await confirm.isDisabled()).toBe(true);
    await expectAccessible(page);
    await page.getByLabel("Type active to confirm").fill("active");
    await confirm.click();
    await page.getByText("The phase is now active. It was silent.").waitFor();
    await page.getByText("an operator; the policy says silent").waitFor();
    expect(await phase()).toBe("active");
    expect(await (await collectViolations(page)).all()).toEqual([]);
    await page.context().close();
  });

  test("is switched and returned to the policy by keyboard alone", async () => {
    const page = await tested.open("/");
    await page.keyboard.press("g");
    await page.keyboard.press("m");
    const deprecate = button(page, "Switch to deprecated");
    await tabTo(page, deprecate);
    await page.keyboard.press("Enter");
    await page.getByText("1 exchanged V1 key ends on").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await focused(page, deprecate).waitFor();
    await page.keyboard.press("Enter");
    await tabTo(page, page.getByLabel("Type deprecated to confirm"));
    await page.keyboard.type("deprecated");
    await page.keyboard.press("Enter");
    await page.getByText("The phase is now deprecated.").waitFor();
    await tabTo(page, button(page, "Return to the policy").first());
    await page.keyboard.press("Enter");
    await tabTo(page, page.getByLabel("Type from-policy to confirm"));
    await page.keyboard.type("from-policy");
    await page.keyboard.press("Enter");
    await page.getByText("The phase is now silent.").waitFor();
    expect(await phase()).toBe("silent");
    await page.context().close();
  });

  test("stays as it is if the switch fails, and the dialog says why", async () => {
    const page = await tested.open("/migration");
    await page.route("**/api/admin/migration", (route) =>
      route.request().method() === "PUT" ? route.abort() : route.continue(),
    );
    await button(page, "Switch to removed").click();
    await page.getByLabel("Type removed to confirm").fill("removed");
    await page.getByRole("dialog").getByRole("button", { name: "Switch to removed" }).click();
    await page.getByRole("dialog").getByRole("alert").waitFor();
    expect(await phase()).toBe("silent");
    await page.context().close();
  });

  test("is not switched from a phase that another operator has ended meanwhile: the dialog says who, and asks again", async () => {
    const page = await tested.open("/migration");
    await button(page, "Switch to removed").click();
    await page.getByLabel("Type removed to confirm").fill("removed");
    await tested.client.migration.set("gradual", "silent");
    const dialog = page.getByRole("dialog");
    const confirm = dialog.getByRole("button", { name: "Switch to removed" });
    await confirm.click();
    await dialog.getByText("The phase has changed meanwhile: it is now gradual.").waitFor();
    await dialog.getByText("admin:").waitFor();
    expect([await phase(), await confirm.isDisabled()]).toEqual(["gradual", true]);
    await expectAccessible(page);
    await page.getByLabel("Type removed to confirm").fill("removed");
    await confirm.click();
    await page.getByText("The phase is now removed. It was gradual.").waitFor();
    await expect(tested.client.migration.set("active", "gradual")).rejects.toMatchObject({
      ...{ status: 409, reason: "changed-meanwhile" },
      members: { phase: "removed", chosen_by: "operator" },
    });
    const env = { LATCHKEY_URL: tested.origin, LATCHKEY_TOKEN: tested.adminToken };
    const late = await runHere(["migration", "set", "active", "--if-phase", "gradual"], env);
    expect([late.status === 0, late.stderr]).toEqual([false, expect.stringContaining("has changed")]);
    const back = ["migration", "set", "--from-policy", "--if-phase", "removed"];
    expect((await runHere(back, env)).status).toBe(0);
    expect(await phase()).toBe("silent");
    await page.context().close();
  });

  test("is not switched by a session whose key is revoked while it confirms", async () => {
    const chief = await tested.client.register({ name: "c", key_type: "chief" });
    const page = await tested.open("/migration", { credential: chief.api_key });
    await button(page, "Switch to removed").click();
    await page.getByLabel("Type removed to confirm").fill("removed");
    await tested.client.keys.revoke(chief.key_id);
    await page.getByRole("dialog").getByRole("button", { name: "Switch to removed" }).click();
    await page.getByLabel("Operator token or key").waitFor();
    expect(await phase()).toBe("silent");
    await page.context().close();
  });
});

test("the settings are found by a search from the keyboard, and no secret is among them", async () => {
  const page = await tested.open("/");
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.getByText("AUDIT_KEY", { exact: true }).waitFor();
  for (const secret of [AUDIT_KEY, tested.adminToken])
    expect(await page.evaluate("document.documentElement.outerHTML")).not.toContain(secret);
  await page.keyboard.press("/");
  await page.keyboard.type("jwt_keys_file");
  await page.getByText(/^[1-9] of \d+$/).waitFor();
  const found = page.getByRole("row").filter({ hasText: "JWT_KEYS_FILE" });
  await found.filter({ hasText: "keys.json" }).filter({ hasText: "environment" }).waitFor();
  await expectAccessible(page);
  await page.getByLabel("Search").focus();
  await page.keyboard.press("Control+A");
  await page.keyboard.type("no such setting");
  await page.getByText("No setting matches.").waitFor();
  expect(await (await collectViolations(page)).all()).toEqual([]);
  await page.context().close();
});

test("the checklist of a rotation follows the real keys from one step to the next", async () => {
  const page = await tested.open("/system/signing-keys");
  const current = page.getByRole("listitem").and(page.locator("[aria-current=step]"));
  await current.filter({ hasText: "Add a key" }).filter({ hasText: "ready" }).waitFor();
  await expectAccessible(page);
  await rotate("add");
  await current.filter({ hasText: "latchkey secrets promote" }).filter({ hasText: "ready" }).waitFor();
  await page.getByText("next", { exact: true }).waitFor();
  await rotate("promote");
  await current.filter({ hasText: "Retire the former key" }).filter({ hasText: "waits" }).waitFor();
  await page.getByText("API keys that it signed may still be valid").waitFor();
  await rotate("retire", "--force");
  await current.filter({ hasText: "Add a key" }).waitFor();
  expect(await (await collectViolations(page)).all()).toEqual([]);
  await page.context().close();
});
