import { expect, test } from "vitest";
import { parsedPolicy } from "../../../test/support/parsed-policy.ts";
import { limitOfDescriptor } from "./descriptor-limits.ts";

const policy = parsedPolicy(`
rate_limit_service:
  domains:
    edge:
      descriptors:
        - { key: path, value: /login, rate_limit: { unit: minute, requests_per_unit: 5 } }
        - { key: path, value: "/api/*", rate_limit: { unit: second, requests_per_unit: 7 } }
        - { key: path, value: "/api/v2/*", rate_limit: { unit: second, requests_per_unit: 8 } }
        - { key: path, rate_limit: { unit: hour, requests_per_unit: 9 } }
        - key: tenant
          rate_limit: { capacity: 100, refill: 10/s }
          descriptors:
            - { key: plan, value: gold, rate_limit: { unlimited: true } }
            - { key: plan, value: trial, shadow_mode: true, rate_limit: { unit: second, requests_per_unit: 2 } }
        - key: only
          descriptors: [{ key: nested, rate_limit: { unit: second, requests_per_unit: 3 } }]
`);
const edge = policy.rateLimitDomains.get("edge");
if (edge === undefined) throw new Error("the domain");

/** `key=value` pairs. */
function found(...entries: readonly string[]): string {
  const limit = limitOfDescriptor(
    edge as NonNullable<typeof edge>,
    entries.map((text) => {
      const [key = "", value = ""] = text.split("=");
      return { key, value };
    }),
  );
  if (limit === undefined) return "none";
  if (limit.kind === "unlimited") return "unlimited";
  const amount =
    limit.kind === "bucket" ? `${limit.limit.capacity}` : `${limit.quota.limit} a ${limit.quota.every}`;
  return `${amount}${limit.shadow ? " shadow" : ""}`;
}

test("the value comes before its beginning, the longer beginning before the shorter, and both before any value", () => {
  expect(found("path=/login")).toBe("5");
  expect(found("path=/api/v1/x")).toBe("7");
  expect(found("path=/api/v2/x")).toBe("8");
  expect(found("path=/other")).toBe("9");
  expect(found("other=/login")).toBe("none");
});

test("a descriptor must have exactly the entries of the policy, in their order", () => {
  expect(found("tenant=acme")).toBe("100");
  expect(found("tenant=acme", "plan=gold")).toBe("unlimited");
  expect(found("tenant=acme", "plan=trial")).toBe("2 shadow");
  expect(found("tenant=acme", "plan=silver")).toBe("none");
  expect(found("plan=gold", "tenant=acme")).toBe("none");
  expect(found("tenant=acme", "plan=gold", "x=y")).toBe("none");
  expect(found("only=x")).toBe("none");
  expect(found("only=x", "nested=y")).toBe("3");
  expect(found()).toBe("none");
});

test("names that every object has are no entries", () => {
  for (const name of ["__proto__", "constructor", "toString"]) {
    expect(found(`${name}=x`)).toBe("none");
    expect(found(`path=${name}`)).toBe("9");
  }
});
