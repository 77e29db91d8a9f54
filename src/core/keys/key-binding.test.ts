import { describe, expect, test } from "vitest";
import type { KeyBinding } from "./key-binding.ts";
import { bindingOf, bindingViolation, THUMBPRINT } from "./key-binding.ts";

const ONE = "A".repeat(43);
const OTHER = `${"A".repeat(42)}E`;

/** Why a key with this binding is denied to a client; undefined: it is accepted. */
function violation(binding: KeyBinding, address = "192.0.2.1", certificate?: string) {
  return bindingViolation(binding, { address: () => address, certificate: () => certificate });
}

test("a key without a binding is accepted from everywhere, and nothing is found out about its client", () => {
  const never = () => expect.unreachable();
  expect(bindingViolation({}, { address: never, certificate: never })).toBeUndefined();
});

describe("a key that is bound to networks", () => {
  const nets = ["198.51.100.0/24", "192.0.2.0/31", "2001:db8::/32"];

  test.each([
    ["192.0.2.1", undefined],
    ["198.51.100.255", undefined],
    ["2001:db8:ffff::1", undefined],
    ["::ffff:192.0.2.0", undefined],
    ["192.0.2.2", "address_not_allowed"],
    ["2001:db9::1", "address_not_allowed"],
    ["", "address_not_allowed"],
    ["unknown", "address_not_allowed"],
  ])("is accepted in one of them and nowhere else: %j %s", (address, expected) => {
    expect(violation({ nets }, address)).toBe(expected);
  });

  test("is accepted nowhere if its networks are damaged or none", () => {
    expect(violation({ nets: ["192.0.2.0/33", "192.0.2.1"] })).toBe("address_not_allowed");
    expect(violation({ nets: ["damaged", "192.0.2.0/31"] })).toBeUndefined();
    expect(violation({ nets: [] })).toBe("address_not_allowed");
  });
});

describe("a key that is bound to a certificate (RFC 8705 §3)", () => {
  test("is accepted with this certificate only", () => {
    expect(violation({ certificate: ONE }, "192.0.2.1", ONE)).toBeUndefined();
    expect(violation({ certificate: ONE }, "192.0.2.1", OTHER)).toBe("certificate_mismatch");
    expect(violation({ certificate: ONE })).toBe("certificate_mismatch");
  });

  test("and to networks needs both, and the certificate comes first", () => {
    const both = { nets: ["192.0.2.0/31"], certificate: ONE };
    expect(violation(both, "192.0.2.1", ONE)).toBeUndefined();
    expect(violation(both, "192.0.2.9", ONE)).toBe("address_not_allowed");
    expect(violation(both, "192.0.2.1", OTHER)).toBe("certificate_mismatch");
    expect(violation(both, "192.0.2.9", OTHER)).toBe("certificate_mismatch");
  });
});

test("a binding is copied with the parts that it has, and nothing else", () => {
  const more: KeyBinding & { readonly name: string } = { name: "n" };
  expect(bindingOf({ ...more, nets: ["192.0.2.0/31"] })).toStrictEqual({ nets: ["192.0.2.0/31"] });
  expect(bindingOf({ ...more, certificate: ONE })).toStrictEqual({ certificate: ONE });
  expect(bindingOf(more)).toStrictEqual({});
});

test.each([
  [ONE, true],
  [OTHER, true],
  [`${"A".repeat(42)}B`, false],
  ["A".repeat(42), false],
  ["A".repeat(44), false],
  [`${ONE}=`, false],
  [`${"A".repeat(41)}+A`, false],
  [`${ONE}\n`, false],
])("a thumbprint has one form: base64url of 256 bits without padding: %j %s", (text, ok) => {
  expect(THUMBPRINT.test(text)).toBe(ok);
});
