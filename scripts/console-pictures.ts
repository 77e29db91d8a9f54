import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { NARROW, signIn, startConsole, WIDE } from "../test/support/console.ts";
import { SAMPLE_POLICY, sampleRegistry } from "../test/support/sample-registry.ts";

/** A picture of one page. */
interface Picture {
  readonly name: string;
  /** The fragment of the URL without `#`. */
  readonly place: string;
  /** Waits until the page shows what the picture is about. */
  readonly ready: (page: Page) => Promise<unknown>;
}

const sample = await sampleRegistry();

/** One entry for each page of the console. */
const PICTURES: readonly Picture[] = [
  {
    name: "overview",
    place: "/",
    ready: (page) => page.getByRole("row", { name: "this one" }).waitFor(),
  },
  {
    name: "keys",
    place: "/keys?owner=acme",
    ready: (page) => page.getByRole("row", { name: "billing-sync" }).waitFor(),
  },
  {
    name: "key",
    place: `/keys/${sample.keyId}`,
    ready: (page) =>
      Promise.all([
        page.getByText("of one registration").waitFor(),
        page.getByRole("row", { name: "monthly" }).waitFor(),
        page.getByRole("img", { name: "Requests by day" }).waitFor(),
      ]),
  },
  {
    name: "revoke",
    place: `/keys/${sample.keyId}?`,
    async ready(page) {
      await page.getByRole("button", { name: "Revoke all keys of the owner" }).click();
      await page.getByRole("dialog").getByText("live keys").waitFor();
    },
  },
  {
    name: "register",
    place: "/keys/new",
    ready: (page) => page.getByRole("button", { name: "Register" }).waitFor(),
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
const tested = await startConsole({ env: { DATA_DIR: sample.dataDir }, policy: SAMPLE_POLICY });
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
