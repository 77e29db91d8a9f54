import { describe, expect, test } from "vitest";
import { parsePolicy } from "../../policy/file.ts";
import type { Caller } from "./operator.ts";
import { callerHas, mayAssignPlan, mayGrant } from "./operator.ts";

const parsed = parsePolicy({
  fileName: "test",
  text: `
roles:
  basic: { scopes: [chat:read], ttl: 1d, refresh_window: 1h }
  writer: { scopes: [keys:write], may_grant: [basic], ttl: 1d, refresh_window: 1h }
  boss: { scopes: [keys:read, keys:write, system:write], may_grant: [basic, writer], ttl: 1d, refresh_window: 1h }
  trap: { scopes: [keys:write], may_grant: [boss], ttl: 1d, refresh_window: 1h }
  clone: { scopes: [keys:write], may_grant: [clone], ttl: 1d, refresh_window: 1h }
  wide: { scopes: [keys:write], may_grant: [trap, wide], ttl: 1d, refresh_window: 1h }
  billing: { scopes: [keys:write, limits:write], may_grant: [basic], may_assign_plans: [team], ttl: 1d, refresh_window: 1h }
  rival: { scopes: [keys:write, limits:write], may_grant: [billing], may_assign_plans: [gold], ttl: 1d, refresh_window: 1h }
  idle: { scopes: [], ttl: 1d, refresh_window: 1h }
routes: []
plans: { team: { rate_limits: [] }, gold: { rate_limits: [] } }
`,
});
if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
const { policy } = parsed;

function role(name: string) {
  const found = policy.roles.get(name);
  if (found === undefined) throw new Error(name);
  return found;
}

function keyOf(name: string, scopes: readonly string[] = [...role(name).scopes]): Caller {
  return { kind: "key", id: `${name}_1_x`, role: role(name), scopes };
}

const admin: Caller = { kind: "admin", id: "x" };
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
  });
});

test("an operator's call needs its scope, and a mere holder has none", () => {
  expect(callerHas(admin, "system:write")).toBe(true);
  expect(callerHas(keyOf("boss"), "keys:read")).toBe(true);
  expect(callerHas(keyOf("boss"), "audit:read")).toBe(false);
  expect(callerHas(anonymous, "keys:read")).toBe(false);
  expect(callerHas({ kind: "holder", id: "x" }, "keys:read")).toBe(false);
});

describe("a caller assigns only the plans of its role, and only with limits:write", () => {
  test.each<readonly [what: string, caller: Caller, plan: string, may: boolean]>([
    ["an admin token", admin, "gold", true],
    ["an anonymous caller", anonymous, "team", false],
    ["the holder of an ended key", { kind: "holder", id: "billing_1_x" }, "team", false],
    ["a key whose role lists the plan", keyOf("billing"), "team", true],
    ["a key whose role lists another plan", keyOf("billing"), "gold", false],
    ["a narrowed key without limits:write", keyOf("billing", ["keys:write"]), "team", false],
    ["a key that may only grant a role that lists the plan", keyOf("rival"), "team", false],
  ])("%s", (_what, caller, plan, may) => {
    expect(mayAssignPlan(caller, plan)).toBe(may);
  });
});
