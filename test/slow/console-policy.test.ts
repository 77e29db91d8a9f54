import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TestedConsole } from "../support/console.ts";
import { collectViolations, expectAccessible, expectNoTrace, startConsole } from "../support/console.ts";
import { connectChecks } from "../support/direct-checks.ts";
import { tabTo } from "../support/keyboard.ts";

const HOSTILE = "<img src=x onerror=alert(1)>\u202e<script>window.pwned = 1</script>";
const POLICY = `roles:
  basic: { scopes: [chat:read], ttl: 1d, refresh_window: 1h, self_service: true }
  reader: { scopes: [keys:read], ttl: 1d, refresh_window: 1h }
audit: { requests: all }
routes:
  - { path: /chat, methods: [GET], scopes: [chat:read] }
  - { path: /open/**, public: true }
# ${HOSTILE}
`;

let tested: TestedConsole;
beforeAll(async () => {
  tested = await startConsole({ policy: POLICY, env: { AUDIT_FILE: "logs/api.log" } });
});
afterAll(() => tested?.stop());

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const field = (page: Page, name: string) => page.getByLabel(name, { exact: true });

describe("the policy in force", () => {
  test("shows the file, its digest and its roles, and is loaded again by mouse", async () => {
    const page = await tested.open("/policy");
    const { hash } = await tested.client.policy.show();
    await page.getByText(hash).waitFor();
    await page.getByText("at the start of this instance").waitFor();
    await page.getByText("\\u{202e}<script>").waitFor();
    await page.getByRole("row", { name: /^basic/ }).waitFor();
    await expectAccessible(page);
    await button(page, "Reload the file").click();
    await page.getByText("The file has not changed.").waitFor();
    expect(await (await collectViolations(page)).all()).toEqual([]);
    await page.context().close();
  });

  test("says why the file was rejected", async () => {
    const page = await tested.open("/policy");
    const file = join(tested.latchkey.cwd, "latchkey.yaml");
    await writeFile(file, `${POLICY}unknown_field: 1\n`);
    await button(page, "Reload the file").click();
    await page.getByText("latchkey.yaml was rejected").waitFor();
    await page.getByText("unknown field").first().waitFor();
    await expectAccessible(page);
    await writeFile(file, POLICY);
    await button(page, "Reload the file").click();
    await page.getByText("latchkey.yaml was rejected").waitFor({ state: "detached" });
    await page.context().close();
  });

  test("says that it could not be loaded, and loads it when asked again", async () => {
    const page = await tested.open("/");
    let isFailing = true;
    await page.route("**/api/admin/policy", (route) =>
      isFailing ? route.fulfill({ status: 503, body: "no" }) : route.continue(),
    );
    await page.getByRole("link", { name: "Policy" }).click();
    await page.getByRole("alert").waitFor();
    isFailing = false;
    await button(page, "Try again").click();
    await page.getByRole("row", { name: /^basic/ }).waitFor();
    await page.context().close();
  });
});

describe("an explanation", () => {
  test("is drawn step by step by keyboard alone, and the key is nowhere in the page", async () => {
    const { api_key: key } = await tested.client.register({ name: "n", key_type: "basic" });
    const page = await tested.open("/");
    await page.keyboard.press("g");
    await page.keyboard.press("p");
    await page.getByRole("heading", { name: "Policy", exact: true }).waitFor();
    await tabTo(page, page.getByRole("link", { name: "Explain a request" }));
    await page.keyboard.press("Enter");
    await tabTo(page, field(page, "Path"));
    await page.keyboard.type("/chat");
    await page.keyboard.press("Tab");
    await page.keyboard.insertText(key);
    await page.keyboard.press("Enter");
    await page.getByText("Allowed", { exact: true }).waitFor();
    await expectNoTrace(page, key);
    // The key is used again, although the field is empty.
    await tabTo(page, field(page, "Method"));
    await page.keyboard.press("Control+A");
    await page.keyboard.type("POST");
    await page.keyboard.press("Enter");
    await page.getByText("Denied: route_unknown").waitFor();
    await expectAccessible(page);
    await tabTo(page, button(page, "Forget the key"));
    await page.keyboard.press("Enter");
    await tabTo(page, field(page, "Method"));
    await page.keyboard.press("Control+A");
    await page.keyboard.type("GET");
    await page.keyboard.press("Enter");
    await page.getByText("Denied: credential_missing").waitFor();
    expect(await (await collectViolations(page)).all()).toEqual([]);
    await page.context().close();
  });

  test("shows hostile names as text, and says which header is wrong", async () => {
    const page = await tested.open("/policy/explain");
    await field(page, "Path").fill(`/open/${HOSTILE}`);
    await button(page, "Explain").click();
    await page.getByText("request_malformed").first().waitFor();
    await page.getByText("\\u{202e}<script>").first().waitFor();
    await page.getByText("Headers, address and more").click();
    await field(page, "Headers").fill("x-one: 1\nno header");
    await button(page, "Explain").click();
    await page.getByText("Line 2 must be name: value").waitFor();
    expect(await page.evaluate("window.pwned")).toBeUndefined();
    expect(await (await collectViolations(page)).all()).toEqual([]);
    await page.context().close();
  });
});

const CASES = `cases:
  - { name: ${JSON.stringify(HOSTILE)}, request: POST /open/x, expect: allowed }
  - { name: chats need a key, request: GET /chat, expect: allowed }
`;

describe("a policy that is tried", () => {
  test("by mouse: its cases, the replay and the difference are shown, and it is not in force", async () => {
    const checks = await connectChecks(tested.latchkey.grpc);
    const { api_key: key } = await tested.client.register({ name: "n", key_type: "basic" });
    expect(await checks.check("/chat", key)).toBe("allowed");
    checks.close();
    const replay = async () => (await tested.client.policy.check({ text: POLICY, replay: true })).replay;
    await expect.poll(replay).toMatchObject({ requests: 1 });
    const page = await tested.open("/policy/try");
    const { hash } = await tested.client.policy.show();
    await button(page, "Start with the policy in force").click();
    await field(page, "Policy").fill(POLICY.replace("methods: [GET]", "methods: [POST]"));
    await field(page, "Cases").fill(CASES);
    await page.getByLabel("Decide the last requests").check();
    await button(page, "Check the policy").click();
    await page.getByText("An instance would load this file").waitFor();
    await page.getByText("1 passed, 1 failed").waitFor();
    await page.getByRole("row", { name: /basic allowed route_unknown 1/ }).waitFor();
    await page.getByText("decided: credential_missing, not allowed").waitFor();
    await page.getByText("1 line added, 1 line removed").waitFor();
    await page.getByRole("row", { name: /removed:.*methods: \[GET\]/ }).waitFor();
    await page.getByText("Steps", { exact: true }).click();
    await expectAccessible(page);
    expect((await tested.client.policy.show()).hash).toBe(hash);
    expect(await page.evaluate("window.pwned")).toBeUndefined();
    expect(await (await collectViolations(page)).all()).toEqual([]);
    await page.context().close();
  });

  test("by keyboard alone: a problem leads to its line", async () => {
    const page = await tested.open("/policy/try");
    await tabTo(page, field(page, "Policy"));
    await page.keyboard.insertText(
      `${POLICY}\n`.replace("# ", "  - { path: /new, scopes: [unknown:scope] }\n# "),
    );
    await tabTo(page, button(page, "Check the policy"));
    await page.keyboard.press("Enter");
    await page.getByText("An instance would reject this file").waitFor();
    await tabTo(page, button(page, "Line 8"));
    await page.keyboard.press("Enter");
    const selected = await page.evaluate<string>(
      "document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)",
    );
    expect(selected).toBe("  - { path: /new, scopes: [unknown:scope] }");
    await expectAccessible(page);
    await page.context().close();
  });

  test("needs system:read", async () => {
    const { api_key: credential } = await tested.client.register({ name: "r", key_type: "reader" });
    const page = await tested.open("/policy/try", { credential });
    await page.getByText("This session does not have the scope").waitFor();
    await page.getByRole("link", { name: "In force" }).click();
    await page.getByRole("row", { name: /^basic/ }).waitFor();
    expect(await button(page, "Reload the file").isDisabled()).toBe(true);
    await page.context().close();
  });
});
