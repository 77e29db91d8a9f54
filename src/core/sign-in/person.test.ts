import { expect, test } from "vitest";
import type { Policy } from "../policy/policy.ts";
import { holderPersonOf } from "./holder-person.ts";
import { operatorPersonOf } from "./operator-person.ts";
import { isUnverified, personId, personOf } from "./person.ts";
import { maxOwnerKeys } from "./sign-in-policy.ts";

const person = { subject: "ann", name: "Ann" };

test.each<readonly [claim: readonly (readonly string[])[], isUnverified: boolean]>([
  [[["email"]], true],
  [[["org"], ["email"]], true],
  [[["org"]], false],
  [[["org", "email"]], false],
  [[["email", "org"]], false],
])("without email_verified, the claim %j is one that anybody could have entered: %s", (claim, expected) => {
  expect(isUnverified({ email: "a@b.c" }, claim)).toBe(expected);
  expect(isUnverified({ email: "a@b.c", email_verified: true }, claim)).toBe(false);
});

test.each<readonly [claims: object, name: string]>([
  [{ email: "a@b.c", email_verified: true, preferred_username: "ann1", name: "Ann" }, "a@b.c"],
  [{ email: "a@b.c", preferred_username: "ann1", name: "Ann" }, "ann1"],
  [{ name: " Ann\u200b " }, "Ann"],
  [{ name: "🔑".repeat(65) }, "🔑".repeat(64)],
  [{ name: " " }, "ann"],
])("the name of a person with %j is %s", (claims, name) => {
  expect(personOf({ sub: "ann", ...claims })).toEqual({ subject: "ann", name });
});

test("an audit line has the subject alone if the name says no more, or is too long once it is escaped", () => {
  expect(personId(person)).toBe("ann/Ann");
  expect(personId({ subject: "ann", name: "ann" })).toBe("ann");
  expect(personId({ subject: "ann", name: "🔑".repeat(64) })).toBe("ann");
});

test("no user manages keys of an owner if the policy maps no holders", () => {
  const signIn: Policy["signIn"] = { operators: [] };
  expect(holderPersonOf(person, { sub: "ann" }, { signIn })).toBe("holders_not_mapped");
  expect(maxOwnerKeys(signIn)).toBe(0);
  expect(maxOwnerKeys({ ...signIn, holders: { owner: [["sub"]], roles: [], maxKeys: 5 } })).toBe(5);
});

test("a session keeps the first entries that applied, up to 1,000 characters and at least one", () => {
  const heldOf = (lengths: readonly number[]) => {
    // An entry is the JSON of its claim, and its value: 21 characters more than the value.
    const values = lengths.map((length, at) => `${at}`.padEnd(length - 21, "x"));
    const operators = values.map((value) => ({ claim: [["groups"]], value, role: "admin" }));
    return operatorPersonOf(person, { groups: values }, { signIn: { operators } })?.held.map(
      ({ length }) => length,
    );
  };
  expect(heldOf([500, 500, 100])).toEqual([500, 500]);
  expect(heldOf([500, 501, 100])).toEqual([500]);
  expect(heldOf([2000, 100])).toEqual([2000]);
  expect(heldOf([])).toBeUndefined();
});
