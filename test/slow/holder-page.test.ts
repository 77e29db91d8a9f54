import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { collectViolations, expectAccessible, expectNoTrace } from "../support/console.ts";
import type { OidcConsole } from "../support/oidc-console.ts";
import { startOidcConsole } from "../support/oidc-console.ts";

const POLICY = `
roles:
  basic:
    scopes: [chat:read, chat:write]
    ttl: 7d
    refresh_window: 1d
    self_service: true
    rate_limits: [{ name: per-key, per: key, capacity: 60, refill: 1/s }]
    quotas: [{ name: monthly, per: owner, limit: 10000, every: month }]
  paid: { scopes: [chat:read], ttl: 30d, refresh_window: 29d }
  secret: { scopes: [chat:read], ttl: 30d, refresh_window: 1d }
  admin: { scopes: [keys:read, keys:write], may_grant: [basic, paid, secret], ttl: 1d, refresh_window: 1h }
routes: [{ path: /chat, scopes: [chat:read] }]
guards: { open_calls: 6000/m }
console:
  holders: { owner: org, roles: [paid], max_keys: 4 }
`;

let tested: OidcConsole;
beforeAll(async () => {
  tested = await startOidcConsole(POLICY);
});
afterAll(() => tested?.stop());

/** Signs in as this person, in a new browser profile. */
async function signInAs(sub: string, org: string): Promise<Page> {
  tested.provider.person = { sub, org, name: `Person ${sub}` };
  const page = await open();
  await page.getByRole("link", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Your keys" }).waitFor();
  return page;
}

async function open(): Promise<Page> {
  const context = await tested.newContext({ permissions: ["clipboard-read", "clipboard-write"] });
  const page = await context.newPage();
  await collectViolations(page);
  await page.goto(`${tested.origin}/keys`);
  return page;
}

async function createKey(page: Page, name: string): Promise<string> {
  await page.getByRole("button", { name: "Create a key" }).click();
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByRole("button", { name: "Create key" }).click();
  return takeKey(page);
}

/** Reads the key that the dialog shows once, and closes it. */
async function takeKey(page: Page): Promise<string> {
  const dialog = page.getByRole("dialog", { name: "Your new key" });
  const key = (await dialog.locator(".secret code").textContent()) ?? "";
  await dialog.getByRole("button", { name: "I have copied it" }).click();
  await dialog.waitFor({ state: "detached" });
  return key;
}

const HOSTILE = `<img src=x onerror=alert(1)>\u202egnp.${"x".repeat(90)}`;

test("a holder creates, sees, rotates and revokes a key by mouse, and no key stays behind", async () => {
  const page = await signInAs("ann", "acme");
  await page.getByText("No keys yet. Create the first one.").waitFor();
  await expectAccessible(page);
  const first = await createKey(page, HOSTILE);
  await expectNoTrace(page, first);
  const row = page.getByRole("row", { name: HOSTILE });
  await row.waitFor();
  await expectAccessible(page);
  await row.getByRole("link").click();
  await page.getByRole("heading", { name: HOSTILE }).waitFor();
  await page.getByText("10,000 of 10,000 requests left").waitFor();
  await page.getByText("No requests yet.").waitFor();
  await expectAccessible(page);

  await page.getByRole("button", { name: "Rotate…" }).click();
  await page.getByLabel("The old key stays valid").selectOption("1 hour");
  await expectAccessible(page);
  await page.getByRole("button", { name: "Rotate key" }).click();
  const second = await takeKey(page);
  await page.getByText("active").waitFor();
  await expectNoTrace(page, second);
  for (const key of [first, second]) expect((await tested.client.validate(key)).valid).toBe(true);

  await page.getByRole("button", { name: "Revoke…" }).click();
  await page.getByLabel("Type revoke to confirm").fill("revoke");
  await page.getByRole("button", { name: "Revoke key" }).click();
  await page.getByText("revoked", { exact: true }).waitFor();
  for (const key of [first, second])
    await expect(tested.client.validate(key)).rejects.toMatchObject({ reason: "key-revoked" });
  expect(await (await collectViolations(page)).all()).toEqual([]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Manage your keys" }).waitFor();
  await expectAccessible(page);
  await page.getByRole("link", { name: "Sign out there too" }).click();
  await page.getByRole("button", { name: "Yes, sign me out" }).click();
  await page.getByRole("heading", { name: "Manage your keys" }).waitFor();
  expect(page.url()).toBe(`${tested.origin}/keys`);
});

test("a holder sees how many keys it can still create, why no more, and how to create another one", async () => {
  for (const name of ["one", "two"]) await tested.client.register({ name, key_type: "paid", owner: "few" });
  const page = await signInAs("fay", "few");
  await page.getByText("2 of at most 4: you can create 2 more.").waitFor();
  await createKey(page, "three");
  await page.getByText("you can create 1 more.").waitFor();
  // Another tab, or a program, creates the last one while the form is open.
  await page.getByRole("button", { name: "Create a key" }).click();
  await page.getByLabel("Name", { exact: true }).fill("five");
  await tested.client.register({ name: "four", key_type: "paid", owner: "few" });
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByRole("alert").getByText("The owner has as many keys as it may have.").waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.reload();
  await page.getByText("4 is the maximum: to create another one, revoke one.").waitFor();
  expect(await page.getByRole("button", { name: "Create a key" }).isDisabled()).toBe(true);
  await expectAccessible(page);
  await page.getByRole("link", { name: "three" }).click();
  await page.getByRole("button", { name: "Rotate…" }).click();
  await page.getByRole("button", { name: "Rotate key" }).click();
  await takeKey(page);
  await page.getByRole("button", { name: "Revoke…" }).click();
  await page.getByLabel("Type revoke to confirm").fill("revoke");
  await page.getByRole("button", { name: "Revoke key" }).click();
  await page.getByText("revoked", { exact: true }).waitFor();
  await page.goto(`${tested.origin}/keys`);
  await page.getByText("3 of at most 4: you can create 1 more.").waitFor();
});

test("a holder creates, rotates and revokes a key, and pastes one, by keyboard alone", async () => {
  const page = await signInAs("kim", "keyboard");
  const press = (key: string) => page.keyboard.press(key);
  await focusBy(page, "button", "Create a key");
  await press("Enter");
  await page.getByRole("dialog", { name: "Create a key" }).waitFor();
  await page.keyboard.type("by keyboard");
  await press("Enter");
  await page.getByRole("dialog", { name: "Your new key" }).waitFor();
  await focusBy(page, "button", "I have copied it");
  await press("Enter");
  await focusBy(page, "a", "by keyboard");
  await press("Enter");
  await page.getByRole("heading", { name: "by keyboard" }).waitFor();
  await focusBy(page, "button", "Rotate…");
  await press("Enter");
  await page.getByRole("dialog", { name: "Rotate this key" }).waitFor();
  await focusBy(page, "button", "Rotate key");
  await press("Enter");
  await page.getByRole("dialog", { name: "Your new key" }).waitFor();
  await focusBy(page, "button", "I have copied it");
  await press("Enter");
  await page.getByText("active", { exact: true }).waitFor();
  await focusBy(page, "button", "Revoke…");
  await press("Enter");
  await page.getByRole("dialog", { name: "Revoke this key?" }).waitFor();
  await focusBy(page, "input", "revoke");
  await page.keyboard.type("revoke");
  await press("Enter");
  await page.getByText("revoked", { exact: true }).waitFor();
  const { api_key: key, key_id: keyId } = await tested.client.register({ name: "n", key_type: "paid" });
  const fresh = await open();
  await focusBy(fresh, "input", "Key");
  await fresh.keyboard.insertText(key);
  await fresh.keyboard.press("Enter");
  await fresh.getByText(keyId).waitFor();
});

test("a page whose calls fail says so, and works again when they do", async () => {
  const page = await signInAs("lee", "flaky");
  await page.getByText("No keys yet.").waitFor();
  await page.route("**/api/owner/keys?**", (route) => route.abort());
  await page.reload();
  await page.getByText("Latchkey does not respond.").waitFor();
  await expectAccessible(page);
  await page.unroute("**/api/owner/keys?**");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("No keys yet.").waitFor();
});

/** Presses Tab until the focus is on the element with this text, or in a field with this label. */
async function focusBy(page: Page, element: string, text: string): Promise<void> {
  for (let presses = 0; presses < 40; presses++) {
    const isThere = await page.evaluate<boolean>(
      `(({ activeElement: at }) => at?.localName === ${JSON.stringify(element)} &&
        [at.textContent, ...[...(at.labels ?? [])].map((label) => label.textContent)].join(" ").includes(${JSON.stringify(text)}) &&
        at.type !== "checkbox")(document)`,
    );
    if (isThere) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not reach ${element} "${text}"`);
}

test("another owner's keys are neither shown nor touched, whatever the page is made to send", async () => {
  const ann = await signInAs("ann", "acme");
  const key = await createKey(ann, "target");
  const { keys } = await tested.client.keys.list({ owner: "acme", status: "active" });
  const target = keys.find(({ name }) => name === "target")?.key_id ?? "";
  const mallory = await signInAs("mallory", "evil");
  await mallory.goto(`${tested.origin}/keys#/${target}`);
  await mallory.getByText("There is no such key of yours.").waitFor();
  const call = (method: string, path: string, body?: object, headers: object = {}) =>
    mallory.evaluate<readonly [number, string]>(
      `fetch(${JSON.stringify(path)}, { method: ${JSON.stringify(method)}, headers: { "x-latchkey-keys":
        localStorage.getItem("latchkey-keys-proof"), ...${JSON.stringify({ ...(body && { "content-type": "application/json" }), ...headers })} },
        ${body === undefined ? "" : `body: JSON.stringify(${JSON.stringify(body)})`} })
        .then(async (response) => [response.status, (await response.text()).slice(0, 400)])`,
    );
  const own = `/api/owner/keys/${target}`;
  expect(await call("GET", "/api/owner/keys")).toEqual([
    200,
    '{"keys":[],"examined":0,"next_cursor":null,"counted_keys":0,"max_keys":4}',
  ]);
  for (const [method, path, body] of [
    ["GET", `${own}/limits`],
    ["GET", `${own}/usage`],
    ["POST", `${own}/rotate`, { overlap: 0 }],
    ["DELETE", own],
    ["DELETE", `${own}?family=true`],
  ] as const)
    expect([method, path, (await call(method, path, body))[0]]).toEqual([method, path, 404]);
  const registration = { name: "x", key_type: "basic" };
  expect((await call("POST", "/api/owner/keys", { ...registration, owner: "acme" }))[0]).toBe(400);
  expect((await call("GET", "/api/owner/keys?owner=acme"))[0]).toBe(400);
  // A role that the mapping does not permit, and one of operators.
  for (const role of ["secret", "admin"])
    expect((await call("POST", "/api/owner/keys", { ...registration, key_type: role }))[0]).toBe(403);
  // The session is none of the console, and no call of an operator accepts it.
  for (const path of ["/api/admin/keys", "/api/console/session"])
    expect((await call("GET", path))[0]).toBe(401);
  // Without its header, and with another one, the cookie is worth nothing.
  for (const proof of ["", "none"])
    expect((await call("GET", "/api/owner/keys", undefined, { "x-latchkey-keys": proof }))[0]).toBe(401);
  expect((await tested.client.validate(key)).valid).toBe(true);
  // The revocation of an owner ends its sessions, or a stolen one would make the next key.
  const lasting = await signInAs("kim", "other");
  await tested.client.keys.revokeOwner("other");
  await lasting.getByRole("button", { name: "Create a key" }).click();
  await lasting.getByLabel("Name", { exact: true }).fill("too late");
  await lasting.getByRole("button", { name: "Create key" }).click();
  await lasting.getByText("Your session has ended. Sign in again.").waitFor();
  // An operator has given this one: the holder sees and revokes it, but gets no successor of it.
  const given = await tested.client.register({ name: "given", key_type: "secret", owner: "evil" });
  expect((await call("POST", `/api/owner/keys/${given.key_id}/rotate`, {}))[0]).toBe(403);
  expect((await call("DELETE", `/api/owner/keys/${given.key_id}`))[0]).toBe(204);
});

test("a link of another site to the outcome of a sign-in does not sign a holder out", async () => {
  const page = await signInAs("ann", "acme");
  for (const outcome of ["sign-in=sign_in_failed", "signed-in"]) {
    await page.goto("about:blank");
    await page.goto(`${tested.origin}/keys#${outcome}`);
    await page.getByRole("heading", { name: "Your keys", exact: true }).waitFor();
  }
});

test("a tab shows nothing of one person after another tab has signed in as a second one", async () => {
  const first = await signInAs("ann", "first-org");
  await createKey(first, "key of the first");
  await first.getByRole("row", { name: "key of the first" }).waitFor();
  tested.provider.person = { sub: "bob", org: "second-org", name: "Person bob" };
  const second = await first.context().newPage();
  await second.goto(`${tested.origin}/keys/oidc`);
  await second.getByText("second-org").waitFor();
  await first.getByText("second-org").waitFor();
  await first.getByText("No keys yet. Create the first one.").waitFor();
});

test("a pasted key is shown, refreshed and revoked, and lives in the memory of the page alone", async () => {
  // It can be refreshed from half of its life on.
  const short = await tested.client.register({ name: "short", key_type: "paid", ttl: 24 });
  const issued = await tested.client.register({ name: "pasted", key_type: "paid" });
  const page = await open();
  await paste(page, issued.api_key);
  await page.getByText(issued.key_id).waitFor();
  await expectNoTrace(page, issued.api_key);
  await expectAccessible(page);
  await page.getByRole("button", { name: "Refresh", exact: true }).click();
  await page.getByText("The key may not be refreshed yet.").waitFor();
  await page.getByText(/It can be refreshed/).waitFor();
  await page.getByRole("button", { name: "Revoke…" }).click();
  await page.getByLabel("Type revoke to confirm").fill("revoke");
  await page.getByRole("button", { name: "Revoke key" }).click();
  await page.getByText("The key is revoked.").waitFor();
  await expect(tested.client.validate(issued.api_key)).rejects.toMatchObject({ reason: "key-revoked" });

  await paste(page, short.api_key);
  await page.getByText(short.key_id).waitFor();
  const refresh = page.getByRole("button", { name: "Refresh", exact: true });
  const isRefreshed = async () => {
    const dialogs = page.getByRole("dialog");
    if ((await dialogs.count()) === 0) await refresh.click();
    return dialogs.count();
  };
  await expect.poll(isRefreshed, { interval: 500 }).toBe(1);
  const successor = await takeKey(page);
  await expectNoTrace(page, successor);
  await expectNoTrace(page, short.api_key);
  await page.getByText(short.key_id).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Forget this key" }).click();

  await paste(page, "<script>alert(1)</script>");
  await page.getByRole("alert").waitFor();
  await expectAccessible(page);
  expect(await (await collectViolations(page)).all()).toEqual([]);
});

async function paste(page: Page, key: string): Promise<void> {
  await page.getByLabel("Key", { exact: true }).fill(key);
  await page.getByRole("button", { name: "Show key" }).click();
}
