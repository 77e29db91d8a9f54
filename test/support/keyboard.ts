import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";

const MAX_TABS = 80;

/** Moves the focus to this control with the Tab key alone. Fails if the keyboard does not reach it. */
export async function tabTo(page: Page, control: Locator): Promise<void> {
  await control.waitFor();
  for (let tabs = 0; tabs < MAX_TABS; tabs++) {
    if (await control.evaluate((element) => element === element.ownerDocument.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  expect.fail(`the keyboard does not reach ${control}`);
}

/** Goes to a page of the console by its shortcut. */
export async function goByKeys(page: Page, key: string, heading: string): Promise<void> {
  await page.keyboard.press("g");
  await page.keyboard.press(key);
  await page.getByRole("heading", { level: 1, name: heading }).waitFor();
}
