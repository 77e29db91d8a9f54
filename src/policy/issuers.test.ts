import { describe, expect, test } from "vitest";
import { parsePolicy } from "./file.ts";

const HEAD = `roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h }
  admin: { scopes: [keys:read], ttl: 1d, refresh_window: 1h }
routes: [{ path: /a, scopes: [a] }]
issuers:
`;

function problemsOf(...entries: readonly string[]): readonly string[] {
  const text = HEAD + entries.map((entry) => `  - { ${entry} }\n`).join("");
  const parsed = parsePolicy({ text, fileName: "p", ownIssuer: "blyan-api" });
  return parsed.ok ? [] : parsed.problems;
}

function entry(change: Readonly<Record<string, string>> = {}): string {
  const fields = {
    name: "corp",
    issuer: "https://id.example.com",
    jwks_uri: "https://id.example.com/keys",
    audience: "api",
    roles: "[basic]",
    ...change,
  };
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}`)
    .join(", ");
}

test("an issuer's entry has defaults that suit most issuers", () => {
  const parsed = parsePolicy({ text: `${HEAD}  - { ${entry()} }\n`, fileName: "p" });
  expect(parsed.ok && parsed.policy.issuers).toEqual([
    {
      name: "corp",
      issuer: "https://id.example.com",
      jwksUri: "https://id.example.com/keys",
      audience: "api",
      algorithms: ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
      roles: ["basic"],
      roleMap: new Map(),
      claims: { id: [["sub"]], role: [["role"]] },
      maxTokenBytes: 16_384,
      clockSkewSeconds: 60,
      plans: [],
    },
  ]);
});

describe("an invalid issuer's entry is rejected with its line", () => {
  test.each<readonly [string, Readonly<Record<string, string>>, string]>([
    [
      "over http",
      { jwks_uri: "http://id.example.com/keys" },
      "p:6: issuers[0].jwks_uri: must be an https URL",
    ],
    ["over another protocol", { jwks_uri: "file:///keys" }, "must be an https URL"],
    ["with a password in its URL", { jwks_uri: "https://a:b@x.y/" }, "must be an https URL"],
    ["with a separator in its name", { name: '"a:b"' }, "p:6: issuers[0].name: must be lower-case"],
    ["with a symmetric algorithm", { algorithms: "[HS256]" }, "issuers[0].algorithms[0]"],
    ["with an unknown role", { roles: "[basis]" }, 'unknown role "basis", did you mean "basic"?'],
    ["with an operator role", { roles: "[admin]" }, "makes no operators: this role has keys:read"],
    [
      "with a default role outside its roles",
      { default_role: "admin" },
      '"admin" is not one of the roles of this issuer',
    ],
    ["with a mapping outside its roles", { role_map: "{ x: admin }" }, "issuers[0].role_map.x"],
    [
      "with a token bound beyond what Envoy takes",
      { max_token_bytes: "60000" },
      "issuers[0].max_token_bytes",
    ],
    ["with a clock skew of an hour", { clock_skew: "1h" }, '"1h" is not a duration of at most 10m'],
    ["with a pointer of a wrong form", { claims: "{ role: /a~b }" }, "is no JSON Pointer"],
    ["with an empty path", { claims: "{ role: [] }" }, "issuers[0].claims.role"],
    ["with our own JWT_ISSUER", { issuer: "blyan-api" }, "is JWT_ISSUER"],
    ["with an unknown field", { audiance: "x" }, 'unknown field, did you mean "audience"?'],
  ])("an issuer's entry %s is rejected", (_what, change, problem) => {
    expect(problemsOf(entry(change)).join("\n")).toContain(problem);
  });

  test("a second entry for one issuer is rejected", () => {
    expect(problemsOf(entry(), entry())).toEqual([
      'p:7: issuers[1].name: a second issuer "corp"',
      "p:7: issuers[1].issuer: a second entry for this issuer",
    ]);
  });
});

test("a claim is a name, a dotted path, a list of names, or a JSON Pointer", () => {
  const claims = "{ id: a.b, role: [x, y.z], scope: /x/y.z/~0~1, owner: https://x.y/z }";
  const parsed = parsePolicy({ text: `${HEAD}  - { ${entry({ claims })} }\n`, fileName: "p" });
  expect(parsed.ok && parsed.policy.issuers[0]?.claims).toEqual({
    id: [["a.b"], ["a", "b"]],
    role: [["x", "y.z"]],
    scope: [["x", "y.z", "~/"]],
    owner: [["https://x.y/z"], ["https://x", "y/z"]],
  });
});

test("Ed25519 is another name of EdDSA with an Ed25519 key (RFC 9864)", () => {
  const parsed = parsePolicy({
    text: `${HEAD}  - { ${entry({ algorithms: "[Ed25519]" })} }\n`,
    fileName: "p",
  });
  expect(parsed.ok && parsed.policy.issuers[0]?.algorithms).toEqual(["EdDSA"]);
});

test("http is accepted for loopback hosts only", () => {
  for (const host of ["127.0.0.1:1", "localhost", "[::1]:8080"])
    expect(problemsOf(entry({ jwks_uri: `"http://${host}/keys"` }))).toEqual([]);
});
