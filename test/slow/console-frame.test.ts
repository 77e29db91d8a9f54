import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestedConsole } from "../support/console.ts";
import { collectViolations, expectAccessible, expectNoTrace, startConsole } from "../support/console.ts";

let tested: TestedConsole;
beforeAll(async () => {
  tested = await startConsole();
});
afterAll(() => tested?.stop());

test("a person signs in by mouse, sees the overview, and signs out", async () => {
  const page = await tested.open();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.getByRole("row", { name: "this one" }).waitFor();
  await expectNoTrace(page, tested.adminToken);
  await expectAccessible(page);
  expect(await (await collectViolations(page)).all()).toEqual([]);
  await page.screenshot({ path: "/tmp/shots/overview.png" });
  await page.getByRole("button", { name: /^admin:/ }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Operator token or key").waitFor();
  await expectAccessible(page);
  await page.screenshot({ path: "/tmp/shots/signin.png" });
});
