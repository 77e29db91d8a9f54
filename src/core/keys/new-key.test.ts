import { describe, expect, test } from "vitest";
import { parsedPolicy } from "../../../test/support/parsed-policy.ts";
import { admin, BASIC, KEY, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import type { CommitOutcome } from "./key-change.ts";
import type { GrantRequest } from "./new-key.ts";
import { commitNewKey, denyPlan, permitGrant } from "./new-key.ts";
import type { Caller } from "./operator.ts";
import type { RegistryDenial } from "./registry-denial.ts";
import { denied } from "./registry-denial.ts";

const policy = parsedPolicy(`
roles:
  open: { scopes: [a, b], ttl: 1h, refresh_window: 1h, self_service: true }
  paid: { scopes: [a, b], ttl: 1h, refresh_window: 1h }
  boss: { scopes: [a, b, keys:write, limits:write], may_grant: [paid], may_assign_plans: [team], ttl: 1h, refresh_window: 1h }
plans: { team: { rate_limits: [] }, gold: { rate_limits: [] } }
routes: []
`);
const bossRole = policy.roles.get("boss") ?? expect.unreachable();

const boss: Caller = { kind: "person", id: "ada", role: bossRole, scopes: [...bossRole.scopes] };
const clerk: Caller = { ...boss, scopes: ["a", "b", "keys:write"] };
const root: Caller = { kind: "admin", id: "ops" };
const owner: Caller = { kind: "owner", id: "ada", owner: "acme", roles: new Set(["paid"]) };
const anonymous: Caller = { kind: "anonymous", address: "192.0.2.1" };

describe("a grant", () => {
  test.each<readonly [what: string, caller: Caller, request: GrantRequest, selfService: boolean]>([
    ["of an admin", root, { role: "boss", plan: "gold", owner: "acme" }, false],
    ["of an operator that may grant the role", boss, { role: "paid", plan: "team", ttlSeconds: 3600 }, false],
    ["of a holder for its own owner", owner, { role: "paid", owner: "acme" }, true],
    ["of anyone, of a self-service role", anonymous, { role: "open" }, true],
    ["of an operator that may not grant the self-service role", boss, { role: "open" }, true],
  ])("%s is permitted", (_what, caller, request, selfService) => {
    const role = policy.roles.get(request.role) ?? expect.unreachable();
    expect(permitGrant({ policy: () => policy }, request, caller)).toStrictEqual({
      role,
      scopes: [...role.scopes],
      selfService,
    });
  });

  test("has a part of the role's scopes, each once", () => {
    const granted = permitGrant({ policy: () => policy }, { role: "open", scopes: ["b", "b"] }, anonymous);
    expect(granted).toMatchObject({ scopes: ["b"] });
    expect(permitGrant({ policy: () => policy }, { role: "open", scopes: [] }, anonymous)).toMatchObject({
      scopes: [],
    });
  });

  test.each<readonly [reason: RegistryDenial, caller: Caller, request: GrantRequest]>([
    ["role_unknown", root, { role: "none" }],
    ["scope_unknown", root, { role: "paid", scopes: ["a", "c"] }],
    ["ttl_too_long", root, { role: "paid", ttlSeconds: 3601 }],
    ["plan_unknown", root, { role: "paid", plan: "none" }],
    ["plan_not_assignable", boss, { role: "paid", plan: "gold" }],
    ["plan_not_assignable", anonymous, { role: "open", plan: "team" }],
    ["operator_required", anonymous, { role: "paid" }],
    ["operator_required", anonymous, { role: "open", owner: "acme" }],
    ["grant_refused", boss, { role: "boss" }],
    ["grant_refused", boss, { role: "open", owner: "acme" }],
    ["grant_refused", owner, { role: "paid", owner: "other" }],
    ["grant_refused", owner, { role: "paid" }],
    ["grant_refused", owner, { role: "open", owner: "acme" }],
  ])("is denied with %s: %j, %j", (reason, caller, request) => {
    expect(permitGrant({ policy: () => policy }, request, caller)).toEqual(denied(reason));
  });
});

test("only a caller that may assign plans learns whether the policy has one", () => {
  expect(denyPlan("none", policy, clerk)).toEqual(denied("plan_not_assignable"));
  expect(denyPlan("none", policy, boss)).toEqual(denied("plan_unknown"));
  expect(denyPlan("gold", policy, boss)).toEqual(denied("plan_not_assignable"));
  expect(denyPlan("team", policy, boss)).toBeUndefined();
  expect(denyPlan("gold", policy, root)).toBeUndefined();
});

describe("a new key", () => {
  const committed: CommitOutcome = { kind: "committed" };
  const make = async (
    outcomes: readonly CommitOutcome[],
    record = KEY,
    caller: Caller = admin.caller,
    earlier?: () => Promise<string | undefined>,
  ) => {
    const { registry, asked } = scriptedRegistry({}, outcomes);
    const result = await commitNewKey<string>(
      registry,
      {
        subject: { role: "contributor" },
        event: "key_registered",
        record: (issuedAt) => ({ ...record, issuedAt }),
        result: ({ issuedAt }) => `issued at ${issuedAt - NOW}`,
        ...(earlier && { earlier }),
      },
      { caller },
    );
    return { result, asked };
  };

  test("gets the date of a cut-off that has already ended it", async () => {
    expect((await make([committed])).result).toBe("issued at 0");
    const { result, asked } = await make([{ kind: "ended", before: NOW + 2 }, committed]);
    expect(result).toBe("issued at 2");
    expect(asked.map(({ put }) => put[0]?.issuedAt)).toEqual([NOW, NOW + 2]);
    await expect(make([{ kind: "ended", before: NOW + 4 }])).rejects.toThrow("no key can be issued yet");
    await expect(make([{ kind: "ended" }])).rejects.toThrow("no key can be issued yet");
  });

  test("is tried again after another change, and written with its audit event", async () => {
    const { result, asked } = await make([{ kind: "conflict" }, committed]);
    expect(result).toBe("issued at 0");
    expect(asked).toHaveLength(2);
    expect(asked[1]?.audit).toMatchObject([{ event: "key_registered", keyId: KEY.keyId }]);
  });

  test("counts no V1 key of self-service once V1 keys are removed", async () => {
    const { registry, asked } = scriptedRegistry();
    registry.migration.applyState({ phase: "removed", chosen: true, version: 1 });
    const record = { ...KEY, selfService: true };
    const key = { subject: { role: "basic" }, event: "key_registered", record: () => record } as const;
    await commitNewKey(registry, { ...key, result: () => "made" }, { caller: anonymous });
    expect(asked[0]?.requires).toMatchObject({ legacyEnded: true });
  });

  test("is not made beyond a limit, or if an earlier call has made it", async () => {
    expect((await make([{ kind: "full" }])).result).toEqual(denied("too_many_keys"));
    expect((await make([{ kind: "owner_full" }])).result).toEqual(denied("too_many_owner_keys"));
    const { result, asked } = await make([], KEY, root, async () => "earlier");
    expect([result, asked]).toEqual(["earlier", []]);
  });

  test("of self-service stays below the limits of all such keys, and of its owner", async () => {
    const selfService = { ...KEY, role: BASIC.name, selfService: true };
    const requires = async (...of: [typeof KEY, Caller?]) =>
      (await make([committed], ...of)).asked[0]?.requires;
    const living = { ...selfService, issuedAt: NOW };
    expect(await requires(KEY)).toStrictEqual({ living: { ...KEY, issuedAt: NOW } });
    expect(await requires(selfService, anonymous)).toStrictEqual({
      living,
      selfServiceBelow: 3,
      legacyEnded: false,
    });
    expect(await requires(selfService, owner)).toStrictEqual({
      living,
      selfServiceBelow: 3,
      ownedBelow: { owner: "acme", as: "active", below: 2 },
      legacyEnded: false,
    });
  });
});
