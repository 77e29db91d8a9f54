import { describe, expect, test } from "vitest";
import { parsedPolicy } from "../../../test/support/parsed-policy.ts";
import { callerHas, callerName, mayAssignPlan, mayGrant, mayRotate } from "../keys/operator.ts";
import type { Policy } from "../policy/policy.ts";
import { holderCaller, holderPersonOf } from "./holder-person.ts";
import { operatorCaller, operatorPersonOf } from "./operator-person.ts";
import { personId, personOf } from "./person.ts";

function policyWith(console: string, adminScopes = "[keys:read, keys:write, limits:write]"): Policy {
  const text = `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, self_service: true }
  paid: { scopes: [a, b], ttl: 1d, refresh_window: 1h }
  root: { scopes: [system:write], ttl: 1d, refresh_window: 1h }
  admin: { scopes: ${adminScopes}, may_grant: [basic, root], may_assign_plans: [gold], ttl: 1d, refresh_window: 1h }
plans: { gold: { rate_limits: [] } }
routes: []
console: ${console}
`;
  return parsedPolicy(text);
}

const ann = { sub: "ann|1", name: "Ann Smith", email: "ann@example.com", email_verified: true };

function operator(claims: object, policy: Policy, later = policy) {
  const person = personOf({ ...ann, ...claims });
  const operator = person && operatorPersonOf(person, { ...ann, ...claims }, policy);
  return operator && operatorCaller(operator, later);
}

function caller(claims: object, policy: Policy, later = policy) {
  const found = operator(claims, policy, later);
  if (found === undefined) throw new Error("not an operator");
  return found;
}

describe("an operator by claims", () => {
  const policy = policyWith(
    "{ operators: [{ claim: groups, value: ops, role: admin }, { claim: groups, value: support, role: admin, scopes: [keys:read] }] }",
  );

  test("has exactly what its mapping says, and no other person is one", () => {
    const ops = caller({ groups: ["x", "ops"] }, policy);
    expect(callerHas(ops, "keys:write")).toBe(true);
    expect(callerHas(ops, "system:write")).toBe(false);
    expect(mayAssignPlan(ops, "gold")).toBe(true);
    const support = caller({ groups: ["support"] }, policy);
    expect(callerHas(support, "keys:read")).toBe(true);
    expect(callerHas(support, "keys:write")).toBe(false);
    expect(mayAssignPlan(support, "gold")).toBe(false);
    expect(operator({ groups: ["other"] }, policy)).toBeUndefined();
    expect(operator({ groups: "no ops" }, policy)).toBeUndefined();
    expect(operator({ groups: { ops: false } }, policy)).toBeUndefined();
    expect(operator({}, policy)).toBeUndefined();
  });

  test("cannot grant beyond its scopes, although its role lists the granted role", () => {
    const role = policy.roles.get("root");
    const basic = policy.roles.get("basic");
    if (role === undefined || basic === undefined) throw new Error("a role is missing");
    expect(mayGrant(caller({ groups: ["ops"] }, policy), ["system:write"], role, policy)).toBe(true);
    expect(mayGrant(caller({ groups: ["support"] }, policy), ["a"], basic, policy)).toBe(false);
  });

  test("loses what a reload takes away, and everything if its mapping is gone", () => {
    const narrowed = policyWith(
      "{ operators: [{ claim: groups, value: ops, role: admin, scopes: [keys:read] }] }",
    );
    expect(callerHas(caller({ groups: ["ops"] }, policy, narrowed), "keys:write")).toBe(false);
    const smaller = policyWith(
      "{ operators: [{ claim: groups, value: ops, role: admin }] }",
      "[audit:read, limits:write]",
    );
    expect(callerHas(caller({ groups: ["ops"] }, policy, smaller), "keys:read")).toBe(false);
    expect(operator({ groups: ["ops"] }, policy, policyWith("{}"))).toBeUndefined();
    const otherClaim = policyWith("{ operators: [{ claim: roles, value: ops, role: admin }] }");
    expect(operator({ groups: ["ops"] }, policy, otherClaim)).toBeUndefined();
  });

  test("is not made by a reload that maps what it did not hold at sign-in", () => {
    const wider = policyWith("{ operators: [{ claim: groups, value: support, role: admin }] }");
    expect(operator({ groups: ["ops"] }, policy, wider)).toBeUndefined();
  });
});

test("an email address counts only if the provider has verified it", () => {
  const policy = policyWith(
    "{ operators: [{ claim: email, value: ann@example.com, role: admin }], holders: { owner: email } }",
  );
  const claimed = { ...ann, email_verified: "true" };
  const person = personOf(claimed);
  expect(operator({}, policy)).toBeDefined();
  expect(operator({ email_verified: false }, policy)).toBeUndefined();
  expect(operator({ email_verified: undefined }, policy)).toBeUndefined();
  expect(person && holderPersonOf(person, claimed, policy)).toBe("owner_unverified");
  expect(person?.name).toBe("Ann Smith");
});

describe("a holder by claims", () => {
  const policy = policyWith("{ holders: { owner: org, roles: [paid] } }");
  const holder = (org: unknown, later = policy) => {
    const claims = { ...ann, org };
    const person = personOf(claims);
    if (person === undefined) throw new Error("no person");
    const found = holderPersonOf(person, claims, policy);
    return typeof found === "string" ? found : holderCaller(found, later);
  };

  test("acts for its own owner, with self-service roles and those of the mapping", () => {
    const found = holder("acme");
    expect(found).toEqual({
      kind: "owner",
      id: "ann%7C1/ann@example.com",
      owner: "acme",
      roles: new Set(["basic", "paid"]),
    });
    if (typeof found !== "object") throw new Error("not a holder");
    const [paid, admin] = [policy.roles.get("paid"), policy.roles.get("admin")];
    if (paid === undefined || admin === undefined) throw new Error("a role is missing");
    expect(mayRotate(found, { owner: "acme", scopes: ["a"] }, paid, policy)).toBe(true);
    expect(mayRotate(found, { owner: "other", scopes: ["a"] }, paid, policy)).toBe(false);
    expect(mayRotate(found, { scopes: ["a"] }, paid, policy)).toBe(false);
    expect(mayRotate(found, { owner: "acme", scopes: ["keys:read"] }, admin, policy)).toBe(false);
    expect(mayGrant(found, ["a"], paid, policy)).toBe(false);
    expect(callerHas(found, "keys:read")).toBe(false);
    expect(callerName(found)).toBe("owner:ann%7C1/ann@example.com");
  });

  test("has no owner by a claim that is missing, no text, no owner's name, or the id of a family", () => {
    expect(holder(undefined)).toBe("owner_missing");
    expect(holder(["acme"])).toBe("owner_missing");
    for (const org of ["", "a b", "corp:acme", "x".repeat(129), "fam_abcdefghijklmnopqrstuv", "a\nb"])
      expect(holder(org)).toBe("owner_not_accepted");
  });

  test("is signed out when the policy reads another claim, or none", () => {
    expect(holder("acme", policyWith("{ holders: { owner: sub } }"))).toBeUndefined();
    expect(holder("acme", policyWith("{}"))).toBeUndefined();
    const fewer = holder("acme", policyWith("{ holders: { owner: org } }"));
    expect(typeof fewer === "object" && [...fewer.roles]).toEqual(["basic"]);
  });
});

test("the audit name of a person has its subject first, whatever it calls itself", () => {
  const id = (claims: object) => {
    const person = personOf(claims);
    return person && personId(person);
  };
  expect(id({ sub: "u1", name: "admin:x/u2 \u202e\n" })).toBe("u1/admin%3Ax%2Fu2");
  expect(id({ sub: "u1/admin" })).toBe("u1%2Fadmin");
  expect(id({ sub: "u1", name: "\u200b" })).toBe("u1");
  expect(id({ sub: "" })).toBeUndefined();
  expect(id({ sub: 7 })).toBeUndefined();
  expect(id({ sub: "x".repeat(201) })).toBeUndefined();
});
