import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { NARROW, signIn, startConsole, WIDE } from "../test/support/console.ts";

/** A picture of one page. */
interface Picture {
  readonly name: string;
  /** The fragment of the URL without `#`. */
  readonly place: string;
  /** Waits until the page shows what the picture is about. */
  readonly ready: (page: Page) => Promise<unknown>;
}

/** One entry for each page of the console. */
const PICTURES: readonly Picture[] = [
  {
    name: "overview",
    place: "/",
    ready: (page) => page.getByRole("row", { name: "this one" }).waitFor(),
  },
];

const LOOKS = [
  { suffix: "light", viewport: WIDE, colorScheme: "light" },
  { suffix: "dark", viewport: WIDE, colorScheme: "dark" },
  { suffix: "narrow", viewport: NARROW, colorScheme: "light" },
] as const;

/** Makes the pictures of docs/console/: `node scripts/console-pictures.ts [NAME…]`. */
const folder = fileURLToPath(new URL("../docs/console/", import.meta.url));
const wanted = process.argv.slice(2);
await mkdir(folder, { recursive: true });
const tested = await startConsole();
try {
  for (const { suffix, viewport, colorScheme } of LOOKS) {
    const context = await tested.newContext({ viewport, colorScheme });
    const page = await context.newPage();
    await page.goto(`${tested.origin}/console`);
    if (wanted.length === 0 || wanted.includes("sign-in"))
      await page.screenshot({ path: `${folder}sign-in-${suffix}.png` });
    await signIn(page, tested.adminToken);
    for (const { name, place, ready } of PICTURES) {
      if (wanted.length > 0 && !wanted.includes(name)) continue;
      await page.goto(`${tested.origin}/console#${place}`);
      await ready(page);
      await page.screenshot({ path: `${folder}${name}-${suffix}.png` });
    }
    await context.close();
  }
} finally {
  await tested.stop();
}
