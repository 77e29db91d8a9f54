import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { check } from "../support/checks.ts";
import type { TestedIssuer } from "../support/issuer.ts";
import { startIssuer } from "../support/issuer.ts";
import { readToken } from "../support/keys.ts";
import type { LimitedService } from "../support/limited-service.ts";
import { startLimitedService } from "../support/limited-service.ts";
import { readMetrics } from "../support/metrics.ts";
import { runHere } from "../support/program.ts";

const PLANS = ["free", "team", "gold"];
const CAPACITY: Readonly<Record<string, number>> = { free: 2, team: 4, gold: 6 };

let issuer: TestedIssuer;
let service: LimitedService;
let admin: LatchkeyClient;
const logged: string[] = [];

function policyWith({ plans = PLANS, assigns = ["free", "team"], basicTtl = "1d" } = {}): string {
  const lines = plans.map(
    (plan) =>
      `  ${plan}: { rate_limits: [{ name: burst, per: owner, capacity: ${CAPACITY[plan]}, refill: 1/h }] }`,
  );
  const billing = assigns.filter((plan) => plans.includes(plan)).join(", ");
  return `
plans:
${lines.join("\n")}
roles:
  basic: { scopes: [a], ttl: ${basicTtl}, refresh_window: 12h, self_service: true, plan: free }
  bare: { scopes: [a], ttl: 1d, refresh_window: 1h, rate_limits: [{ name: burst, per: owner, capacity: 3, refill: 1/h }] }
  billing: { scopes: [keys:read, keys:write, limits:write], ttl: 1d, refresh_window: 1h, may_grant: [basic], may_assign_plans: [${billing}] }
  seller: { scopes: [limits:write], ttl: 1d, refresh_window: 1h, may_assign_plans: [${billing}] }
  clerk: { scopes: [keys:read, keys:write], ttl: 1d, refresh_window: 1h, may_grant: [basic] }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 10000/s }
issuers:
  - { name: corp, issuer: "${issuer.issuer}", jwks_uri: "${issuer.jwksUri}", audience: api, roles: [bare], claims: { plan: tier }, plans: [${plans.includes("team") ? "team" : "free"}] }
`;
}

const newOwner = () => `owner-${randomUUID()}`;

function register(
  by: LatchkeyClient,
  { role = "basic", owner = newOwner(), plan }: { role?: string; owner?: string; plan?: string } = {},
) {
  return by.register({ name: "n", key_type: role, owner, ...(plan !== undefined && { plan }) });
}

const admitted = (token: string) => service.admitted(token);

async function operator(role: string, scopes?: readonly string[]): Promise<LatchkeyClient> {
  const { api_key: token } = await admin.register({ name: role, key_type: role, ...(scopes && { scopes }) });
  return createClient({ url: `http://${service.latchkey.operator}`, token });
}

const stepsOf = async (key: string) => (await admin.explain({ method: "GET", path: "/a/x", key })).steps;
const planStep = async (key: string) => (await stepsOf(key)).find(({ step }) => step === "plan");

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

  describe("the limits of a key", () => {
    test("are those of its own plan, of its role's plan, or of its role", async () => {
      const [claimed, byRole, own] = await Promise.all([
        register(admin, { role: "bare", plan: "team" }),
        register(admin),
        register(admin, { role: "bare" }),
      ]);
      expect(await planStep(claimed.api_key)).toEqual({
        step: "plan",
        observed: "team, by the key",
        outcome: "burst: 4 per owner",
      });
      expect((await planStep(byRole.api_key))?.observed).toBe("free, by the role basic");
      expect((await planStep(own.api_key))?.observed).toBe("no plan, by the role bare");
      expect(await admitted(claimed.api_key)).toBe(4);
      expect(await admitted(byRole.api_key)).toBe(2);
      expect(await admitted(own.api_key)).toBe(3);
      expect((await stepsOf(claimed.api_key)).at(-1)).toMatchObject({
        step: "limits",
        outcome: "rate_limited",
      });
    });

    test("of two plans, and of a plan and a role, are separate buckets of one owner", async () => {
      const owner = newOwner();
      const [team, gold, own] = await Promise.all([
        register(admin, { owner, plan: "team" }),
        register(admin, { owner, plan: "gold" }),
        register(admin, { owner, role: "bare" }),
      ]);
      expect(await admitted(team.api_key)).toBe(4);
      expect(await admitted(gold.api_key)).toBe(6);
      expect(await admitted(own.api_key)).toBe(3);
      // One plan is one bucket of the owner, in another role too.
      const other = await register(admin, { owner, role: "bare", plan: "team" });
      expect(await admitted(other.api_key)).toBe(0);
      await admin.limits.reset(other.key_id);
      expect(await admitted(team.api_key)).toBe(4);
      expect(await admitted(own.api_key)).toBe(0);
    });

    test("of another issuer's token come from the plans of its list only", async () => {
      const admittedAs = async (tier: unknown) =>
        admitted(await issuer.token({ role: "bare", sub: randomUUID(), tier }));
      await expect.poll(() => admittedAs(undefined)).toBe(3);
      expect(await admittedAs("team")).toBe(4);
      expect(await admittedAs("gold")).toBe(3);
    });
  });

  describe("a plan is assigned only by a caller that may assign it", () => {
    const denied = { status: 403, reason: "plan-not-assignable" };

    test("an admin token assigns every plan", async () => {
      for (const plan of PLANS) expect((await register(admin, { plan })).plan).toBe(plan);
    });

    test("a key with limits:write assigns the plans of its role, and needs the right to grant the role as well", async () => {
      const billing = await operator("billing");
      expect((await register(billing, { plan: "team" })).plan).toBe("team");
      await expect(register(billing, { plan: "gold" })).rejects.toMatchObject(denied);
      await expect(register(billing, { role: "bare", plan: "team" })).rejects.toMatchObject({
        status: 403,
        reason: "grant-refused",
      });
      const seller = await operator("seller");
      const sold = await seller.register({ name: "n", key_type: "basic", plan: "team" });
      expect(sold.plan).toBe("team");
      await expect(register(seller, { plan: "team" })).rejects.toMatchObject({ reason: "grant-refused" });
    });

    test.each<readonly [who: string, by: () => Promise<LatchkeyClient>]>([
      ["a key without limits:write", () => operator("clerk")],
      ["a key that was narrowed to keys:write", () => operator("billing", ["keys:write"])],
      ["an anonymous caller", async () => createClient({ url: `http://${service.latchkey.operator}` })],
      [
        "the holder of a self-service key",
        async () => {
          const { api_key: token } = await admin.register({ name: "n", key_type: "basic", plan: "gold" });
          return createClient({ url: `http://${service.latchkey.operator}`, token });
        },
      ],
    ])("%s gets 403, for a self-service role too", async (_who, by) => {
      const caller = await by();
      for (const plan of [...PLANS, "silver"])
        await expect(caller.register({ name: "n", key_type: "basic", plan })).rejects.toMatchObject(denied);
      expect((await caller.register({ name: "n", key_type: "basic" })).plan).toBeUndefined();
    });

    test("a plan that the policy does not have is an error of the request, for callers that may assign plans", async () => {
      const errors = [{ pointer: "#/plan", detail: "is not a plan of the policy" }];
      for (const by of [admin, await operator("billing")])
        await expect(register(by, { plan: "silver" })).rejects.toMatchObject({ status: 400, errors });
      await expect(register(admin, { plan: "no plan" })).rejects.toMatchObject({ status: 400 });
    });

    test("a repeated registration returns the key only while its caller may assign the plan", async () => {
      const billing = await operator("billing");
      const again = () =>
        billing.register({ name: "n", key_type: "basic", plan: "team" }, { idempotencyKey: "same-1" });
      const first = await again();
      expect(await again()).toEqual(first);
      await service.reload(policyWith({ assigns: ["free"] }));
      await expect(again()).rejects.toMatchObject(denied);
      await service.reload(policyWith());
      expect(await again()).toEqual(first);
    });
  });

  describe("a key keeps its plan", () => {
    test("when it is refreshed, rotated or changed, also by an operator that may not assign it", async () => {
      const clerk = await operator("clerk");
      const first = await admin.register({ name: "n", key_type: "basic", plan: "gold", ttl: 8 });
      expect(readToken(first.api_key).claims["plan"]).toBe("gold");
      await expect.poll(() => Date.now() / 1000).toBeGreaterThan(Date.parse(first.refresh_after) / 1000);
      const second = await clerk.refresh(first.api_key);
      const third = await clerk.keys.rotate(second.key_id);
      for (const key of [second, third]) {
        expect(key.plan).toBe("gold");
        expect(readToken(key.api_key).claims["plan"]).toBe("gold");
      }
      expect(await clerk.keys.change(third.key_id, { name: "m" })).toMatchObject({ plan: "gold", name: "m" });
    });

    test("and every call that describes a key shows it", async () => {
      const { api_key: token, key_id: keyId } = await register(admin, { plan: "team" });
      expect(await admin.validate(token)).toMatchObject({ valid: true, plan: "team" });
      expect(await admin.introspect(token)).toMatchObject({ active: true, plan: "team" });
      expect(await admin.keys.show(keyId)).toMatchObject({ plan: "team" });
      expect(await admin.limits.show(keyId)).toMatchObject({ plan: "team", limits: [{ capacity: 4 }] });
      const { events } = await admin.audit({ key_id: keyId });
      expect(events).toMatchObject([{ event: "key_registered", plan: "team" }]);
      const none = await register(admin);
      expect(await admin.validate(none.api_key)).not.toHaveProperty("plan");
      expect(await admin.keys.show(none.key_id)).toMatchObject({ plan: null });
      expect(await admin.limits.show(none.key_id)).toMatchObject({ plan: "free" });
    });
  });

  test("the plans and their limits are listed, and the command line assigns them", async () => {
    const { plans } = await admin.policy.plans();
    expect(plans.map(({ name }) => name)).toEqual(PLANS);
    expect(plans[1]?.rate_limits).toEqual([
      { name: "burst", per: "owner", capacity: 4, refill_per_second: 1 / 3600 },
    ]);
    expect((await admin.policy.roles()).roles).toMatchObject([
      { name: "basic", plan: "free", rate_limits: [] },
      { name: "bare", plan: null },
      { name: "billing", may_assign_plans: ["free", "team"] },
      {},
      {},
    ]);
    const env = { LATCHKEY_URL: `http://${service.latchkey.operator}`, LATCHKEY_TOKEN: service.adminToken };
    const listed = await runHere(["limits", "plans"], env);
    expect(listed.stdout).toMatch(
      /^PLAN +LIMIT +PER +CAPACITY +REFILL\nfree +burst +owner +2 +0\.000278\/s\n/,
    );
    const ran = await runHere(["keys", "register", "--name", "n", "--role", "basic", "--plan", "team"], env);
    expect(readToken(ran.stdout).claims["plan"]).toBe("team");
    expect(ran.stderr).toContain("basic, plan team, a, until");
    const wrong = await runHere(
      ["keys", "register", "--name", "n", "--role", "basic", "--plan", "silver"],
      env,
    );
    expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining("is not a plan of the policy")]);
  });

  test("a reload that removes a plan in use: its keys get the plan of their role, which is counted and logged", async () => {
    const { api_key: token } = await register(admin, { plan: "team" });
    const unknown = async () =>
      (await readMetrics(service.latchkey.ops)).get("latchkey_unknown_plans_total") ?? -1;
    expect((await check(service.envoy, "/a/x", token)).status).toBe(200);
    expect(await unknown()).toBe(0);
    await service.reload(policyWith({ plans: ["free", "gold"], assigns: ["free"] }));
    expect(await planStep(token)).toMatchObject({
      observed: "team, which is not in the policy; free, by the role basic",
      outcome: "burst: 2 per owner",
    });
    expect(await admitted(token)).toBe(2);
    // Scrapes within a moment share one text.
    await expect.poll(unknown).toBe(3);
    const warnings = () =>
      logged.filter((line) => line.includes("a key has a plan that the policy does not have"));
    await expect.poll(warnings).toEqual([expect.stringContaining('"plan":"team"')]);
    await service.reload(policyWith());
    expect(await planStep(token)).toMatchObject({ observed: "team, by the key" });
    expect(await admitted(token)).toBe(3);
  });
});
