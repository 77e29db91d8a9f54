import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { check } from "../support/checks.ts";
import type { TestedIssuer } from "../support/issuer.ts";
import { startIssuer } from "../support/issuer.ts";
import type { LimitedService } from "../support/limited-service.ts";
import { startLimitedService } from "../support/limited-service.ts";
import { readMetrics } from "../support/metrics.ts";
import { runHere } from "../support/program.ts";

const CAPACITY: Readonly<Record<string, number>> = { free: 2, team: 4, gold: 6 };

let issuer: TestedIssuer;
let service: LimitedService;
let admin: LatchkeyClient;
const logged: string[] = [];

function policyWith(plans: readonly string[] = Object.keys(CAPACITY)): string {
  const lines = plans.map(
    (plan) =>
      `  ${plan}: { rate_limits: [{ name: burst, per: owner, capacity: ${CAPACITY[plan]}, refill: 1/h }], quotas: [{ name: monthly, per: owner, limit: 1000, every: month }] }`,
  );
  return `
plans:
${lines.join("\n")}
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 12h, self_service: true, plan: free }
  open: { scopes: [a], ttl: 1d, refresh_window: 1h }
  billing: { scopes: [keys:read, limits:write], ttl: 1d, refresh_window: 1h, may_assign_plans: [${plans.includes("team") ? "team" : "free"}] }
  reader: { scopes: [keys:read], ttl: 1d, refresh_window: 1h }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 10000/s }
issuers:
  - { name: corp, issuer: "${issuer.issuer}", jwks_uri: "${issuer.jwksUri}", audience: api, roles: [basic] }
`;
}

const newOwner = () => `owner-${randomUUID()}`;

/** A new key and its family. */
async function register(role = "basic", owner = newOwner()) {
  const { api_key: token, key_id: keyId } = await admin.register({ name: "n", key_type: role, owner });
  const { family } = await admin.keys.show(keyId);
  return { token, keyId, owner, family };
}

async function operator(role: string): Promise<LatchkeyClient> {
  const { api_key: token } = await admin.register({ name: role, key_type: role });
  return createClient({ url: `http://${service.latchkey.operator}`, token });
}

const admitted = (token: string) => service.admitted(token);

async function planOf(key: string): Promise<string | undefined> {
  const { steps } = await admin.explain({ method: "GET", path: "/a/x", key });
  return steps.find(({ step }) => step === "plan")?.observed;
}

function inSeconds(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toISOString();
}

function send(method: string, path: string, body?: string) {
  return fetch(`http://${service.latchkey.operator}/api/admin/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${service.adminToken}`,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body }),
  });
}

describe.each(["embedded", "redis"])("with the %s store", (store) => {
  beforeAll(async () => {
    issuer = await startIssuer();
    logged.length = 0;
    service = await startLimitedService(store, policyWith(), (line) => logged.push(line));
    admin = service.admin;
  });

  afterAll(async () => {
    await Promise.all([service?.stop(), issuer?.stop()]);
  });

  test("an override of the family applies before that of the owner, and both before the role; clearing one shows the next", async () => {
    const { token, owner, family } = await register();
    expect(await admitted(token)).toBe(2);
    await admin.limits.setOverride({ owner }, { plan: "team" });
    expect(await planOf(token)).toBe(`team, by the override of the owner ${owner}`);
    expect(await admitted(token)).toBe(4);
    await admin.limits.setOverride({ family }, { plan: "gold" });
    expect(await planOf(token)).toBe("gold, by the override of the family");
    expect(await admitted(token)).toBe(6);
    await admin.limits.clearOverride({ family });
    expect(await planOf(token)).toBe(`team, by the override of the owner ${owner}`);
    expect(await admitted(token)).toBe(0);
    await admin.limits.clearOverride({ owner });
    expect(await planOf(token)).toBe("free, by the role basic");
    expect(await admitted(token)).toBe(0);
  });

  test("an override with an expiry ends at that second, and is then no longer shown", async () => {
    const { token, owner } = await register();
    await admin.limits.setOverride({ owner }, { plan: "gold", expires_at: inSeconds(5) });
    expect(await planOf(token)).toContain("gold");
    await expect.poll(() => planOf(token)).toBe("free, by the role basic");
    await expect(admin.limits.showOverride({ owner })).rejects.toMatchObject({ status: 404 });
    expect(await admitted(token)).toBe(2);
  });

  test("quotas of an override replace the whole list, and the plan step of explain shows them with their reason", async () => {
    const { token, owner, family } = await register();
    const planStep = async () => {
      const { steps } = await admin.explain({ method: "GET", path: "/a/x", key: token });
      return steps.find(({ step }) => step === "plan");
    };
    await admin.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 5000, extra: 7 }] });
    expect(await planStep()).toMatchObject({
      observed: `free, by the role basic; quotas by the override of the owner ${owner}`,
      outcome: expect.stringContaining("monthly: 5000 requests per owner and month"),
    });
    await admin.limits.setOverride({ family }, { plan: "team" });
    expect(await planStep()).toMatchObject({
      observed: "team, by the override of the family",
      outcome: expect.stringContaining("monthly: 1000 requests"),
    });
  });

  test("an override is shown as it was set, and one that is replaced leaves nothing behind", async () => {
    const owner = newOwner();
    const first = { plan: "team", note: "Größe, ticket 4711", expires_at: inSeconds(3600) };
    await admin.limits.setOverride({ owner }, first);
    const shown = { owner, family: null, plan: "team", plan_known: true, note: first.note, quotas: null };
    expect(await admin.limits.showOverride({ owner })).toMatchObject(shown);
    await admin.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 10 ** 12 }] });
    expect(await admin.limits.showOverride({ owner })).toMatchObject({
      plan: null,
      note: null,
      expires_at: null,
      quotas: [{ name: "monthly", limit: 10 ** 12, extra: 0, extra_until: null }],
    });
    await admin.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 1, extra: 2 }] });
    const { quotas, version } = await admin.limits.showOverride({ owner });
    const setAt = new Date(version);
    const endMs = Date.UTC(setAt.getUTCFullYear(), setAt.getUTCMonth() + 1);
    expect(quotas?.map(({ extra_until: until }) => Date.parse(until ?? ""))).toEqual([endMs]);
    await admin.limits.clearOverride({ owner });
    await admin.limits.clearOverride({ owner });
    await expect(admin.limits.showOverride({ owner })).rejects.toMatchObject({ status: 404 });
  });

  test("an override of a subject that does not exist yet is kept: of a later owner, of a family, and of another issuer's subject", async () => {
    const owner = newOwner();
    await admin.limits.setOverride({ owner }, { plan: "gold" });
    const { token } = await register("basic", owner);
    expect(await admitted(token)).toBe(6);
    await admin.limits.setOverride({ family: "fam_0123456789abcdefghijkl" }, { plan: "team" });
    const sub = randomUUID();
    await admin.limits.setOverride({ family: `corp:${sub}` }, { plan: "team" });
    const foreign = await issuer.token({ role: "basic", sub });
    await expect.poll(() => planOf(foreign)).toContain("team, by the override");
    expect(await admitted(foreign)).toBe(4);
    const other = randomUUID();
    await admin.limits.setOverride({ owner: `corp:${other}` }, { plan: "gold" });
    expect(await admitted(await issuer.token({ role: "basic", sub: other }))).toBe(6);
  });

  describe("who may set an override", () => {
    const denied = { status: 403, reason: "plan-not-assignable" };

    test("a key with limits:write sets and replaces only plans of may_assign_plans; ADMIN_TOKEN sets all", async () => {
      const [owner, billing] = [newOwner(), await operator("billing")];
      await billing.limits.setOverride({ owner }, { plan: "team" });
      await expect(billing.limits.setOverride({ owner }, { plan: "gold" })).rejects.toMatchObject(denied);
      await billing.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 1 }] });
      await admin.limits.setOverride({ owner }, { plan: "gold" });
      // A caller undoes only what it could have done.
      await expect(billing.limits.setOverride({ owner }, { plan: "team" })).rejects.toMatchObject(denied);
      await expect(billing.limits.clearOverride({ owner })).rejects.toMatchObject(denied);
      expect(await billing.limits.showOverride({ owner })).toMatchObject({ plan: "gold" });
      await admin.limits.clearOverride({ owner });
      await billing.limits.setOverride({ owner }, { plan: "team" });
    });

    test("a key without limits:write, and a caller without a credential, set and clear nothing", async () => {
      const { owner, token } = await register();
      const subject = { owner };
      for (const [caller, status] of [
        [await operator("reader"), 403],
        [createClient({ url: `http://${service.latchkey.operator}`, token }), 403],
        [createClient({ url: `http://${service.latchkey.operator}` }), 401],
      ] as const) {
        await expect(caller.limits.setOverride(subject, { plan: "team" })).rejects.toMatchObject({ status });
        await expect(caller.limits.clearOverride(subject)).rejects.toMatchObject({ status });
      }
      expect(await planOf(token)).toBe("free, by the role basic");
    });
  });

  test.each<readonly [what: string, body: unknown, pointer: string]>([
    ["a plan that the policy does not have", { plan: "silver" }, "#/plan"],
    ["a plan that is no name", { plan: "a b" }, "#/plan"],
    ["nothing", {}, "#/plan"],
    ["a note alone", { note: "x" }, "#/plan"],
    ["an unknown quota", { quotas: [{ name: "weekly", limit: 1 }] }, "#/quotas"],
    ["no quotas", { quotas: [] }, "#/quotas"],
    ["a quota twice", { quotas: Array(2).fill({ name: "monthly", limit: 1 }) }, "#/quotas"],
    ["too many quotas", { quotas: Array(9).fill({ name: "monthly", limit: 1 }) }, "#/quotas"],
    ["a limit above 10^12", { quotas: [{ name: "monthly", limit: 10 ** 12 + 1 }] }, "#/quotas/0/limit"],
    ["a limit of 2^60", { quotas: [{ name: "monthly", limit: 2 ** 60 }] }, "#/quotas/0/limit"],
    ["a fraction", { quotas: [{ name: "monthly", limit: 1.5 }] }, "#/quotas/0/limit"],
    ["a negative extra", { quotas: [{ name: "monthly", limit: 1, extra: -1 }] }, "#/quotas/0/extra"],
    ["a note of 10 KB", { plan: "team", note: "x".repeat(10_240) }, "#/note"],
    ["control characters", { plan: "team", note: "a\nb" }, "#/note"],
    ["a lone surrogate", { plan: "team", note: "\ud800" }, "#/note"],
    ["an expiry in the past", { plan: "team", expires_at: "2020-01-01T00:00:00Z" }, "#/expires_at"],
    ["an expiry that is no time", { plan: "team", expires_at: "tomorrow" }, "#/expires_at"],
    ["an unknown member", { plan: "team", limit: 3 }, "#/limit"],
  ])("%s is rejected with one sentence about it", async (_what, body, pointer) => {
    const response = await send("PUT", "owners/acme/limits", JSON.stringify(body));
    const problem = await response.json();
    expect([response.status, problem]).toEqual([
      400,
      expect.objectContaining({ errors: [{ pointer, detail: expect.stringMatching(/^\S.{3,}/) }] }),
    ]);
    await expect(admin.limits.showOverride({ owner: "acme" })).rejects.toMatchObject({ status: 404 });
  });

  test("a body that is too large, and subjects with other characters than ids, are rejected", async () => {
    const large = JSON.stringify({ plan: "team", note: "x".repeat(200_000) });
    expect((await send("PUT", "owners/acme/limits", large)).status).toBe(413);
    const subjects = ["a%20b", "a%0Ab", "%00", "a%7Bb%7D", "%E2%80%A8", "x".repeat(129), "a%22b", "corp%3A"];
    for (const subject of subjects)
      for (const [method, path] of [
        ["PUT", `owners/${subject}/limits`],
        ["GET", `owners/${subject}/limits`],
        ["DELETE", `owners/${subject}/limits`],
        ["PUT", `families/${subject}/limits`],
      ] as const) {
        const body = method === "PUT" ? '{"plan":"team"}' : undefined;
        expect([method, path, (await send(method, path, body)).status]).toEqual([method, path, 400]);
      }
    expect((await send("PUT", "families/acme/limits", '{"plan":"team"}')).status).toBe(400);
    expect((await send("PUT", "owners/team%2Fa/limits", '{"plan":"team"}')).status).toBe(204);
    expect(await admin.limits.showOverride({ owner: "team/a" })).toMatchObject({ owner: "team/a" });
  });

  test("every change is an audit event with its subject and its details", async () => {
    const owner = newOwner();
    const { family } = await register();
    await admin.limits.setOverride(
      { owner },
      { plan: "team", quotas: [{ name: "monthly", limit: 5, extra: 2 }], note: "ticket" },
    );
    await admin.limits.setOverride({ family }, { plan: "gold" });
    await admin.limits.clearOverride({ owner });
    expect((await admin.audit({ owner })).events).toMatchObject([
      { event: "limits_set", outcome: "done", plan: "team", reason: "monthly=5+2, note: ticket" },
      { event: "limits_cleared", outcome: "done", plan: null },
    ]);
    const ofFamily = (await admin.audit({ family })).events.filter(({ event }) => event === "limits_set");
    expect(ofFamily).toMatchObject([{ plan: "gold", reason: null }]);
  });

  describe("the list of overrides", () => {
    test("has every override in force once over its pages, by plan if that is asked for", async () => {
      const owners = [newOwner(), newOwner(), newOwner()].sort();
      const [first = "", second = "", cleared = ""] = owners;
      const { family } = await register();
      await admin.limits.setOverride({ family }, { plan: "gold", note: "ticket" });
      for (const owner of owners) await admin.limits.setOverride({ owner }, { plan: "team" });
      await admin.limits.setOverride({ owner: second }, { quotas: [{ name: "monthly", limit: 5 }] });
      await admin.limits.clearOverride({ owner: cleared });
      const listed = async (filter: { plan?: string; limit: number }) => {
        const found = [];
        for await (const override of admin.limits.allOverrides(filter)) found.push(override);
        return found.filter(({ owner, family: of }) => of === family || owners.includes(owner ?? ""));
      };
      const ofFamily = await admin.limits.showOverride({ family });
      const all = [
        await admin.limits.showOverride({ owner: first }),
        await admin.limits.showOverride({ owner: second }),
        ofFamily,
      ];
      expect(await listed({ limit: 1 })).toEqual(all);
      expect(await listed({ limit: 500 })).toEqual(all);
      expect(await listed({ limit: 2, plan: "gold" })).toEqual([ofFamily]);
      expect(await listed({ limit: 2, plan: "silver" })).toEqual([]);
    });

    test("is for callers with keys:read", async () => {
      const { token } = await register();
      const at = { url: `http://${service.latchkey.operator}` };
      expect(await (await operator("reader")).limits.listOverrides()).toMatchObject({ next_cursor: null });
      await expect(createClient({ ...at, token }).limits.listOverrides()).rejects.toMatchObject({
        status: 403,
      });
      await expect(createClient(at).limits.listOverrides()).rejects.toMatchObject({ status: 401 });
    });

    test.each([
      ["plan=a%20b", "plan"],
      ["limit=0", "limit"],
      ["limit=501", "limit"],
      ["cursor=x", "cursor"],
      ["cursor=WyJyb2xlIiwiYSJd", "cursor"],
      [`cursor=${"W".repeat(1025)}`, "cursor"],
      ["owner=a", "owner"],
    ])("rejects %s", async (query, name) => {
      const response = await send("GET", `overrides?${query}`);
      expect([response.status, await response.json()]).toEqual([
        400,
        expect.objectContaining({ errors: [expect.objectContaining({ pointer: `#/query/${name}` })] }),
      ]);
    });
  });

  test("the command line sets, shows, lists and clears overrides", async () => {
    const env = { LATCHKEY_URL: `http://${service.latchkey.operator}`, LATCHKEY_TOKEN: service.adminToken };
    const run = (...args: readonly string[]) => runHere(["limits", ...args], env);
    const owner = newOwner();
    const set = await run(
      ...[
        "set",
        "--owner",
        owner,
        "--plan",
        "gold",
        "--quota",
        "monthly=10+5",
        "--note",
        "why",
        "--until",
        "1h",
      ],
    );
    expect([set.status, set.stdout]).toEqual([0, `set: owner ${owner}\n`]);
    const shown = await run("show", "--owner", owner);
    expect(shown.stdout).toMatch(
      new RegExp(
        `^owner ${owner}, set at \\S+Z, until \\S+Z\nplan: gold\nnote: why\nQUOTA +LIMIT +EXTRA +EXTRA UNTIL\nmonthly +10 +5 +\\S+Z\n$`,
      ),
    );
    expect((await run("plans")).stdout).toMatch(/^gold: \d+ overrides$/m);
    expect((await run("list", "--plan", "gold")).stdout).toMatch(
      new RegExp(`^OF +PLAN +QUOTAS +UNTIL +NOTE\n(.*\n)*owner ${owner} +gold +monthly=10\\+5 +\\S+Z +why\n`),
    );
    const lines = (await run("list", "--json")).stdout.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).owner)).toContain(owner);
    expect((await run("list", "--plan", "silver")).stdout).toBe("No overrides.\n");
    const endless = await run("set", "--owner", owner, "--plan", "gold", "--until", "999999999d");
    expect([endless.status, endless.stderr]).toEqual([2, expect.stringContaining("before the year 10000")]);
    expect((await run("clear", "--owner", owner)).stdout).toBe(`cleared: owner ${owner}\n`);
    expect((await run("show", "--owner", owner)).status).toBe(1);
    for (const args of [
      ["set", "--owner", owner],
      ["set", "--plan", "gold"],
      ["set", "--owner", owner, "--family", "fam_x", "--plan", "gold"],
      ["set", "--owner", owner, "--quota", "monthly"],
      ["show"],
    ])
      expect([args, (await run(...args)).status]).toEqual([args, 2]);
  });

  test("policy check --live lists plans that keys and overrides have, and the new file lacks", async () => {
    const env = { LATCHKEY_URL: `http://${service.latchkey.operator}`, LATCHKEY_TOKEN: service.adminToken };
    const file = join(service.latchkey.cwd, "new.yaml");
    await admin.register({ name: "n", key_type: "basic", plan: "gold" });
    await admin.limits.setOverride({ owner: newOwner() }, { plan: "gold" });
    const run = async (text: string) => {
      await writeFile(file, text);
      return runHere(["policy", "check", file, "--live"], env);
    };
    expect((await run(policyWith())).status).toBe(0);
    const lacking = await run(policyWith(["free", "team"]));
    expect(lacking.status).toBe(1);
    expect(lacking.stderr).toMatch(/lacks the plan "gold" of 1 active keys and \d+ overrides/);
  });

  test("a policy that lacks a plan of an override: the next source applies, which is listed, counted and logged", async () => {
    const { token, owner } = await register();
    const open = await register("open");
    await admin.limits.setOverride({ owner }, { plan: "team" });
    await admin.limits.setOverride({ owner: open.owner }, { plan: "team" });
    expect(await admitted(open.token)).toBe(4);
    await service.reload(policyWith(["free", "gold"]));
    expect(await planOf(token)).toBe("team, which is not in the policy; free, by the role basic");
    expect((await admin.policy.plans()).unknown).toEqual([{ name: "team", overrides: expect.any(Number) }]);
    expect(await admin.limits.showOverride({ owner })).toMatchObject({ plan: "team", plan_known: false });
    // A role without limits: the key must not be served without limits by mistake.
    expect(await check(service.envoy, "/a/x", open.token)).toMatchObject({
      status: 503,
      reason: "limits_unavailable",
    });
    const unknown = async () => (await readMetrics(service.latchkey.ops)).get("latchkey_overrides_unknown");
    await expect.poll(unknown).toBeGreaterThanOrEqual(2);
    const warnings = () => logged.filter((line) => line.includes("overrides name plans or quotas"));
    await expect.poll(warnings).toEqual([expect.stringContaining('"names":"team"')]);
    await service.reload(policyWith());
    await expect.poll(unknown).toBe(0);
    expect(await planOf(token)).toContain("team, by the override of the owner");
    expect((await admin.policy.plans()).unknown).toEqual([]);
  });
});
