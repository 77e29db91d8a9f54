import { setTimeout as pause } from "node:timers/promises";
import type { Page } from "playwright-core";
import type { TestedConsole } from "../test/support/console.ts";
import { connectChecks } from "../test/support/direct-checks.ts";
import type { Picture } from "./console-pictures.ts";

const KEPT: { orderKey: string } = { orderKey: "" };

/** The pictures of the pages Policy, Migration and System. */
export const POLICY_PICTURES: readonly Picture[] = [
  {
    name: "policy",
    place: "/policy",
    ready: (page) => page.getByRole("row", { name: /^partner/ }).waitFor(),
  },
  {
    name: "policy-explain",
    place: "/policy/explain?method=POST&path=/orders/17",
    async prepare({ client }) {
      KEPT.orderKey = (await client.register({ name: "a reader", key_type: "basic" })).api_key;
    },
    ready: explainDenied,
  },
  { name: "policy-try", place: "/policy/try", isCut: true, ready: tryPolicy },
  {
    name: "migration",
    place: "/migration",
    prepare: addLegacyKeys,
    ready: (page) => page.getByRole("row", { name: /^removed/ }).waitFor(),
  },
  { name: "migration-switch", place: "/migration", ready: askForSwitch },
  {
    name: "settings",
    place: "/system",
    isCut: true,
    ready: (page) => page.getByText("GRPC_LISTEN", { exact: true }).waitFor(),
  },
  {
    name: "signing-keys",
    place: "/system/signing-keys",
    ready: (page) => page.getByRole("listitem").filter({ hasText: "Add a key" }).waitFor(),
  },
];

async function addLegacyKeys({ client, latchkey }: TestedConsole): Promise<void> {
  const checks = await connectChecks(latchkey.grpc);
  for (const role of ["basic", "basic", "basic", "partner", "partner"]) {
    const { api_key: key } = await client.registerLegacy({ name: "a V1 key", key_type: role });
    await checks.check("/orders/17", key);
    if (role === "partner") await client.migrate(key);
  }
  checks.close();
  const isUsed = async () =>
    (await client.migration.show()).roles.every(({ used_last_day: used }) => used > 0);
  while (!(await isUsed())) await pause(200);
}

async function askForSwitch(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Switch to removed" }).click();
  await page.getByLabel("Type removed to confirm").waitFor();
}

async function explainDenied(page: Page): Promise<void> {
  await page.getByLabel("Key", { exact: true }).fill(KEPT.orderKey);
  await page.getByRole("button", { name: "Explain", exact: true }).click();
  await page.getByText(/^(Allowed|Denied)/).waitFor();
}

async function tryPolicy(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Start with the policy in force" }).click();
  const policy = page.getByLabel("Policy", { exact: true });
  const route = "methods: [GET], scopes: [orders:read] }";
  await policy.fill((await policy.inputValue()).replace(route, "methods: [GET], public: true }"));
  await page.getByLabel("Cases", { exact: true }).fill(CASES);
  await page.getByLabel("Decide the last requests").check();
  await page.getByRole("button", { name: "Check the policy" }).click();
  await page.getByText("An instance would load this file").scrollIntoViewIfNeeded();
  await page.getByRole("heading", { name: /^Difference/ }).scrollIntoViewIfNeeded();
}

const CASES = `keys:
  reader: { role: basic }
cases:
  - name: a reader may list orders
    request: GET /orders/17
    key: reader
    expect: allowed
  - name: nobody reads orders without a key
    request: GET /orders/17
    expect: credential_missing
`;
