import { describe, expect, test } from "vitest";
import { parsedPolicy } from "../../../test/support/parsed-policy.ts";
import type { Caller } from "./operator.ts";
import { callerHas, callerName, mayAssignPlan, mayGrant, mayRotate, OPERATOR_SCOPES } from "./operator.ts";

const policy = parsedPolicy(`
roles:
  basic: { scopes: [chat:read], ttl: 1d, refresh_window: 1h }
  writer: { scopes: [keys:write], may_grant: [basic], ttl: 1d, refresh_window: 1h }
  boss: { scopes: [keys:read, keys:write, system:write], may_grant: [basic, writer], ttl: 1d, refresh_window: 1h }
  trap: { scopes: [keys:write], may_grant: [boss], ttl: 1d, refresh_window: 1h }
  clone: { scopes: [keys:write], may_grant: [clone], ttl: 1d, refresh_window: 1h }
  wide: { scopes: [keys:write], may_grant: [trap, wide], ttl: 1d, refresh_window: 1h }
  billing: { scopes: [keys:write, limits:write], may_grant: [basic], may_assign_plans: [team], ttl: 1d, refresh_window: 1h }
  rival: { scopes: [keys:write, limits:write], may_grant: [billing], may_assign_plans: [gold], ttl: 1d, refresh_window: 1h }
  former: { scopes: [chat:read], may_grant: [boss], ttl: 1d, refresh_window: 1h }
  giver: { scopes: [keys:write], may_grant: [former], ttl: 1d, refresh_window: 1h }
  idle: { scopes: [], ttl: 1d, refresh_window: 1h }
routes: []
plans: { team: { rate_limits: [] }, gold: { rate_limits: [] } }
`);

function role(name: string) {
  const found = policy.roles.get(name);
  if (found === undefined) throw new Error(name);
  return found;
}

function keyOf(name: string, scopes: readonly string[] = [...role(name).scopes]): Caller {
  return { kind: "key", id: `${name}_1_x`, role: role(name), scopes };
}

const admin: Caller = { kind: "admin", id: "x" };
const boss: Caller = { kind: "person", id: "ada", role: role("boss"), scopes: [...role("boss").scopes] };
const owner: Caller = { kind: "owner", id: "ada", owner: "acme", roles: new Set(["basic"]) };
const anonymous: Caller = { kind: "anonymous", address: "192.0.2.1" };

describe("a caller cannot grant more than it holds", () => {
  const cases: readonly (readonly [what: string, caller: Caller, grants: string, may: boolean])[] = [
    ["an admin token grants everything", admin, "boss", true],
    ["an anonymous caller grants nothing", anonymous, "basic", false],
    ["a key grants what its role may grant", keyOf("writer"), "basic", true],
    ["a key does not grant its own role", keyOf("writer"), "writer", false],
    ["a key grants its own role if that role lists itself", keyOf("clone"), "clone", true],
    ["a key does not grant more", keyOf("writer"), "boss", false],
    ["a key does not grant an unlisted role without any scope", keyOf("boss"), "idle", false],
    ["a key grants a role that may grant in turn", keyOf("boss"), "writer", true],
    ["a key does not grant the same scopes with a wider reach", keyOf("writer"), "trap", false],
    [
      "a key grants a role that its role lists, with everything that this role may grant in turn",
      keyOf("trap"),
      "boss",
      true,
    ],
    ["a narrowed key grants within its remaining scopes", keyOf("boss", ["keys:write"]), "writer", true],
    ["a narrowed key grants no scope that it lacks", keyOf("boss", ["keys:write"]), "boss", false],
    ["a key without keys:write grants nothing", keyOf("boss", ["keys:read"]), "basic", false],
    ["a key without operator scopes grants nothing", keyOf("basic"), "basic", false],
    ["a person grants what its role may grant", boss, "writer", true],
    ["a person does not grant more", boss, "boss", false],
    ["a person that manages an owner's keys grants nothing by itself", owner, "basic", false],
    ["the holder of an ended key grants nothing", { kind: "holder", id: "x" }, "basic", false],
  ];
  test.each(cases)("%s", (_what, caller, grants, may) => {
    expect(mayGrant(caller, [...role(grants).scopes], role(grants), policy)).toBe(may);
  });

  test.each([
    ["a part of it", ["keys:read"]],
    ["no scope", []],
  ])("a role that is not listed is not granted with %s either", (_what, scopes) => {
    expect(mayGrant(keyOf("boss"), scopes, role("boss"), policy)).toBe(false);
  });

  test("a listed role is not granted with scopes beyond the reach, which an old record may hold after its role has lost them", () => {
    expect(mayGrant(keyOf("writer"), ["chat:read"], role("basic"), policy)).toBe(true);
    expect(mayGrant(keyOf("writer"), ["chat:read", "system:write"], role("basic"), policy)).toBe(false);
    expect(mayGrant(keyOf("wide"), ["keys:write"], role("trap"), policy)).toBe(true);
    // Keys of the role "former" grant nothing, because they lack keys:write.
    expect(mayGrant(keyOf("giver"), ["chat:read", "system:write"], role("former"), policy)).toBe(false);
  });
});

test("an operator's call needs its scope, and a mere holder has none", () => {
  expect(callerHas(admin, "system:write")).toBe(true);
  expect(callerHas(keyOf("boss"), "keys:read")).toBe(true);
  expect(callerHas(keyOf("boss"), "audit:read")).toBe(false);
  expect(callerHas(anonymous, "keys:read")).toBe(false);
  expect(callerHas({ kind: "holder", id: "x" }, "keys:read")).toBe(false);
  expect(callerHas(boss, "system:write")).toBe(true);
  expect(callerHas(boss, "audit:read")).toBe(false);
  for (const scope of OPERATOR_SCOPES) expect(callerHas(owner, scope)).toBe(false);
});

describe("a caller assigns only the plans of its role, and only with limits:write", () => {
  test.each<readonly [what: string, caller: Caller, plan: string, may: boolean]>([
    ["an admin token", admin, "gold", true],
    ["an anonymous caller", anonymous, "team", false],
    ["the holder of an ended key", { kind: "holder", id: "billing_1_x" }, "team", false],
    ["a key whose role lists the plan", keyOf("billing"), "team", true],
    ["a key whose role lists another plan", keyOf("billing"), "gold", false],
    ["a narrowed key without limits:write", keyOf("billing", ["keys:write"]), "team", false],
    ["a person whose role lists no plan", boss, "team", false],
    [
      "a person whose role lists the plan",
      { ...boss, role: role("billing"), scopes: ["limits:write"] },
      "team",
      true,
    ],
    ["a person that manages an owner's keys", owner, "team", false],
    ["a key that may only grant a role that lists the plan", keyOf("rival"), "team", false],
  ])("%s", (_what, caller, plan, may) => {
    expect(mayAssignPlan(caller, plan)).toBe(may);
  });
});

describe("a key is rotated by a caller that could grant it, or by its owner", () => {
  const ofAcme = { owner: "acme", scopes: ["chat:read"] };
  test.each<
    readonly [
      what: string,
      caller: Caller,
      key: typeof ofAcme | { scopes: string[] },
      of: string,
      may: boolean,
    ]
  >([
    ["an admin token", admin, ofAcme, "boss", true],
    ["an operator that may grant its role", boss, ofAcme, "basic", true],
    ["an operator that may not grant its role", boss, ofAcme, "boss", false],
    [
      "an operator, beyond its reach",
      keyOf("writer"),
      { scopes: ["chat:read", "audit:read"] },
      "basic",
      false,
    ],
    ["its owner", owner, ofAcme, "basic", true],
    ["its owner, a role that holders may not create", owner, ofAcme, "writer", false],
    ["another owner", { ...owner, owner: "other" }, ofAcme, "basic", false],
    ["an owner, a key without one", owner, { scopes: ["chat:read"] }, "basic", false],
    ["the holder of an ended key", { kind: "holder", id: "x" }, ofAcme, "basic", false],
    ["an anonymous caller", anonymous, ofAcme, "basic", false],
  ])("%s", (_what, caller, key, of, may) => {
    expect(mayRotate(caller, key, role(of), policy)).toBe(may);
  });
});

test("the name of a caller in the audit log says what kind of caller it is", () => {
  const callers: readonly Caller[] = [
    anonymous,
    admin,
    { kind: "holder", id: "k" },
    keyOf("basic"),
    boss,
    owner,
  ];
  expect(callers.map(callerName)).toEqual([
    "anonymous",
    "admin:x",
    "key:k",
    "key:basic_1_x",
    "person:ada",
    "owner:ada",
  ]);
});
