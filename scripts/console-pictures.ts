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
  {
    name: "policy",
    place: "/policy",
    ready: (page) => page.getByRole("row", { name: /^contributor/ }).waitFor(),
  },
  { name: "policy-explain", place: "/policy/explain?method=POST&path=/v1/chat/stream", ready: explainDenied },
  { name: "policy-try", place: "/policy/try", ready: tryPolicy },
  {
    name: "migration",
    place: "/migration",
    ready: (page) => page.getByRole("row", { name: /^removed/ }).waitFor(),
  },
  { name: "migration-switch", place: "/migration", ready: askForSwitch },
  {
    name: "settings",
    place: "/system",
    ready: (page) => page.getByText("GRPC_LISTEN", { exact: true }).waitFor(),
  },
  {
    name: "signing-keys",
    place: "/system/signing-keys",
    ready: (page) => page.getByRole("listitem").filter({ hasText: "Add a key" }).waitFor(),
  },
];

async function askForSwitch(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Switch to removed" }).click();
  await page.getByLabel("Type removed to confirm").waitFor();
}

async function explainDenied(page: Page): Promise<void> {
  await page.getByLabel("Key", { exact: true }).fill(chatKey);
  await page.getByRole("button", { name: "Explain", exact: true }).click();
  await page.getByText(/^(Allowed|Denied)/).waitFor();
}

async function tryPolicy(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Start with the policy in force" }).click();
  const policy = page.getByLabel("Policy", { exact: true });
  await policy.fill((await policy.inputValue()).replace("cost: 1 }", "cost: 5 }"));
  await page.getByLabel("Cases", { exact: true }).fill(CASES);
  await page.getByRole("button", { name: "Check the policy" }).click();
  await page.getByText("An instance would load this file").waitFor();
  await page.getByRole("heading", { name: /^Difference/ }).scrollIntoViewIfNeeded();
}

const CASES = `keys:
  reader: { role: basic, scopes: [chat:read] }
cases:
  - name: a reader may list chats
    request: GET /v1/chat/list
    key: reader
    expect: allowed
  - name: a reader may write
    request: POST /v1/chat/send
    key: reader
    expect: allowed
`;

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
/** A key that may read chats only. */
const { api_key: chatKey } = await tested.client.register({
  name: "a reader",
  key_type: "basic",
  scopes: ["chat:read"],
});
for (const role of ["basic", "basic", "contributor", "node_operator", "contributor"]) {
  const { api_key: legacyKey } = await tested.client.registerLegacy({ name: "a V1 key", key_type: role });
  if (role === "node_operator") await tested.client.migrate(legacyKey);
}
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
