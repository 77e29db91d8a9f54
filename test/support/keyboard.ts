import type { Locator, Page } from "playwright-core";

/** More than any page of the console has. */
const MAX_STOPS = 150;

/** Presses Tab until the element has the focus. Fails if the keyboard does not reach it. */
export async function tabTo(page: Page, target: Locator): Promise<void> {
  await target.waitFor();
  for (let stop = 0; stop < MAX_STOPS; stop++) {
    if ((await focused(page, target).count()) > 0) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`the keyboard does not reach ${target}`);
}

/** The element while it has the focus. */
export function focused(page: Page, target: Locator): Locator {
  return target.and(page.locator(":focus"));
}

/** Moves the focus to a button or a link with Tab, and presses Enter. */
export async function pressOn(page: Page, target: Locator): Promise<void> {
  await tabTo(page, target);
  await page.keyboard.press("Enter");
}

/** Moves the focus to a field with Tab, and types. */
export async function typeInto(page: Page, target: Locator, text: string): Promise<void> {
  await tabTo(page, target);
  await page.keyboard.type(text);
}

/** Goes to a page of the console by its shortcut. */
export async function goByKeys(page: Page, key: string, heading: string): Promise<void> {
  await page.keyboard.press("g");
  await page.keyboard.press(key);
  await page.getByRole("heading", { level: 1, name: heading }).waitFor();
}
