import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { freeAddress } from "../test/support/latchkey.ts";
import { startOidcConsole } from "../test/support/oidc-console.ts";
import { LOOKS } from "./picture-looks.ts";

const POLICY = `
roles:
  basic:
    scopes: [chat:read, chat:write]
    ttl: 7d
    refresh_window: 1d
    self_service: true
    rate_limits: [{ name: per-key, per: key, capacity: 60, refill: 1/s }]
    quotas: [{ name: monthly, per: owner, limit: 1000, every: month }, { name: daily, per: key, limit: 100, every: day }]
  batch: { scopes: [chat:read, data:write], ttl: 30d, refresh_window: 7d }
routes: [{ path: /chat, scopes: [chat:read] }, { path: /data, scopes: [data:write] }]
guards: { open_calls: 6000/m }
console: { operators: [], holders: { owner: org, roles: [batch] } }
`;

/** Makes the pictures of the page for holders in docs/console/: `node scripts/holder-pictures.ts`. */
const folder = fileURLToPath(new URL("../docs/console/", import.meta.url));
await mkdir(folder, { recursive: true });
const auth = await freeAddress();
const tested = await startOidcConsole(POLICY, { AUTH_LISTEN: auth });
tested.provider.person = { sub: "ann", org: "acme", name: "Ann Smith" };
try {
  const { client } = tested;
  const used = await client.register({ name: "website", key_type: "basic", owner: "acme" });
  await client.register({ name: "nightly import", key_type: "batch", owner: "acme" });
  const old = await client.register({ name: "mobile app", key_type: "basic", owner: "acme" });
  await client.keys.rotate(old.key_id, { overlap: 86_400 });
  const lost = await client.register({ name: "laptop of the intern", key_type: "basic", owner: "acme" });
  await client.keys.revoke(lost.key_id);
  for (let call = 0; call < 74; call++) await check(used.api_key, call % 9 === 8 ? "/data" : "/chat");
  for (const { suffix, viewport, colorScheme } of LOOKS) {
    const context = await tested.newContext({ viewport, colorScheme });
    const page = await context.newPage();
    const take = (name: string) => page.screenshot({ path: `${folder}holder-${name}-${suffix}.png` });
    await page.goto(`${tested.origin}/console`);
    await page.getByRole("link", { name: "Sign in with your account" }).waitFor();
    await take("console-sign-in");
    await page.goto(`${tested.origin}/keys`);
    await page.getByRole("heading", { name: "Manage your keys" }).waitFor();
    await take("welcome");
    await page.getByRole("link", { name: "Sign in" }).click();
    await page.getByRole("row", { name: "website" }).waitFor();
    await take("keys");
    await page.getByRole("button", { name: "Create a key" }).click();
    await page.getByLabel("Name", { exact: true }).fill("staging");
    await take("create");
    await page.keyboard.press("Escape");
    await showUsage(page, used.key_id);
    await take("key");
    await page.getByRole("button", { name: "Revoke…" }).click();
    await take("revoke");
    await context.close();
  }
} finally {
  await tested.stop();
}

/** A request of a proxy, by Traefik's and Caddy's form of forward-auth. */
async function check(key: string, path: string): Promise<void> {
  const { status } = await fetch(`http://${auth}/forward`, {
    headers: {
      authorization: `Bearer ${key}`,
      "x-forwarded-method": "GET",
      "x-forwarded-host": "api.example.com",
      "x-forwarded-uri": path,
      "x-forwarded-proto": "https",
      "x-forwarded-for": "192.0.2.1",
    },
  });
  if (status === 400) throw new Error("the listener does not accept the call");
}

/** Usage is stored a few seconds after the requests. */
async function showUsage(page: Page, keyId: string): Promise<void> {
  for (;;) {
    await page.goto(`${tested.origin}/keys#/${keyId}`);
    await page.reload();
    const figures = page.getByRole("img", { name: /Requests of each day/ });
    await figures.or(page.getByText("No requests yet.")).waitFor();
    if ((await figures.count()) > 0) return;
    await page.waitForTimeout(1000);
  }
}
