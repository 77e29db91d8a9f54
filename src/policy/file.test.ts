import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { BUILT_IN_POLICY_FILE, parsePolicy } from "./file.ts";

function problemsOf(text: string): readonly string[] {
  const result = parsePolicy({ text, fileName: "p.yaml" });
  return result.ok ? [] : result.problems;
}

function policyOf(text: string, ttlSeconds?: ReadonlyMap<string, number>) {
  const result = parsePolicy({ text, fileName: "p.yaml", ...(ttlSeconds && { ttlSeconds }) });
  if (!result.ok) throw new Error(result.problems.join("\n"));
  return result.policy;
}

const ROLE = "{ scopes: [a], ttl: 1d, refresh_window: 1h";

test("the built-in policy is valid, and a file without one of its parts gets the built-in part", () => {
  const builtIn = policyOf(readFileSync(BUILT_IN_POLICY_FILE, "utf8"));
  expect([...builtIn.roles.keys()]).toEqual(["basic", "contributor", "node_operator", "admin"]);
  expect(builtIn.roles.get("basic")).toMatchObject({
    ttlSeconds: 604_800,
    refreshWindowSeconds: 86_400,
    selfService: true,
    maxFamilyAgeSeconds: 7_776_000,
  });
  expect(builtIn.roles.get("contributor")).not.toHaveProperty("maxFamilyAgeSeconds");
  const empty = policyOf("{}");
  expect(empty.roles).toEqual(builtIn.roles);
  expect(empty.routeLabels).toEqual(builtIn.routeLabels);
  expect({ ...empty, hash: 0, routes: 0 }).toEqual({ ...builtIn, hash: 0, routes: 0 });
  expect([...policyOf("routes: []").routeLabels]).toEqual(["CORS preflight"]);
});

test("a file that is empty, as after a write to a full disk, does not turn into the built-in policy", () => {
  for (const text of ["", " \n", "# only a comment\n", "---\n", "null"])
    expect(parsePolicy({ text, fileName: "p.yaml" })).toEqual({
      ok: false,
      problems: ["p.yaml:1: the file has no section: write `{}` to use the built-in policy"],
    });
});

test("the old audit value `refusals` loads as `denials`, with a warning", () => {
  const old = policyOf("audit: { requests: refusals }");
  expect(old.audit.requests).toBe("denials");
  expect(old.deprecations).toEqual([expect.stringContaining("`denials`")]);
  for (const requests of ["denials", "all", "off"])
    expect(policyOf(`audit: { requests: ${requests} }`)).toMatchObject({
      audit: { requests },
      deprecations: [],
    });
});

test("TTL settings override the file's TTLs", () => {
  expect(policyOf("{}", new Map([["basic", 5]])).roles.get("basic")?.ttlSeconds).toBe(5);
});

describe("an invalid policy is rejected with the line of each problem", () => {
  const cases: readonly (readonly [what: string, text: string, problems: readonly RegExp[]])[] = [
    [
      "an unknown field",
      "defaults:\n  unmatched: deny\n  mood: good\n",
      [/^p\.yaml:3: defaults\.mood: unknown field$/],
    ],
    [
      "an unknown field that is near to one",
      "headers:\n  requires_https: true\n",
      [/^p\.yaml:2: headers\.requires_https: unknown field, did you mean "require_https"\?$/],
    ],
    ["an unknown part", "\nrolls: {}\n", [/^p\.yaml:2: rolls: unknown field, did you mean "roles"\?$/]],
    [
      "a field that is missing",
      "roles:\n  x: { scopes: [], ttl: 1d }\n",
      [/^p\.yaml:2: roles\.x\.refresh_window: /],
    ],
    [
      "an unknown scope",
      "routes:\n  - { path: /a }\n  - { path: /b, scopes: [chat:read, chat:wirte] }\n",
      [/^p\.yaml:3: routes\[1\]\.scopes\[1\]: unknown scope "chat:wirte": .*, did you mean "chat:write"\?$/],
    ],
    [
      "scopes that are too long for a key",
      `roles:\n  x: { scopes: [${Array.from({ length: 40 }, (_, at) => `s${at}:${"x".repeat(50)}`)}], ttl: 1d, refresh_window: 1h }\nroutes: []\n`,
      [
        /^p\.yaml:2: roles\.x\.scopes: must have at most 2000 characters together, because a key carries them$/,
      ],
    ],
    [
      "an unknown role to grant",
      `roles:\n  x: ${ROLE}, may_grant: [y] }\nroutes: []\n`,
      [/^p\.yaml:2: roles\.x\.may_grant\[0\]: unknown role "y"$/],
    ],
    [
      "a cost above a capacity",
      "routes:\n  - { path: /a, scopes: [chat:read], cost: 61 }\n",
      [/^p\.yaml:2: routes\[0\]\.cost: cost 61 is above the capacity of basic's limit "per-key" \(60\)/],
    ],
    [
      "self-service operators",
      `roles:\n  x: { scopes: [keys:write], ttl: 1d, refresh_window: 1h, self_service: true }\nroutes: []\n`,
      [/^p\.yaml:2: roles\.x\.self_service: anyone could become an operator/],
    ],
    [
      "self-service that may grant",
      `roles:\n  x: ${ROLE}, self_service: true, may_grant: [x] }\nroutes: []\n`,
      [/self_service: anyone could become an operator/],
    ],
    [
      "a tie, with both lines",
      "routes:\n  - { path: /a }\n\n  - { path: /a/ }\n",
      [/^p\.yaml:4: routes\[1\]: this route and the one on line 2 have the same path/],
    ],
    [
      "routes that cross for a host that only one of them names",
      'routes:\n  - { path: /a/**, hosts: ["*.example.com"] }\n  - { path: /a/b, hosts: [x.example.com, "*.com"] }\n',
      [/^p\.yaml:3: routes\[1\]: this route and the one on line 2 cross/],
    ],
    [
      "a bad duration",
      "roles:\n  x: { scopes: [], ttl: 7 days, refresh_window: 1h }\n",
      [/^p\.yaml:2: roles\.x\.ttl: "7 days" is not a duration/],
    ],
    [
      "no time at all",
      "roles:\n  x: { scopes: [], ttl: 0d, refresh_window: 1h }\n",
      [/roles\.x\.ttl: "0d" is not a duration/],
    ],
    [
      "more than 400 days",
      "roles:\n  x: { scopes: [], ttl: 401d, refresh_window: 1h }\n",
      [/roles\.x\.ttl: must be at most 400d/],
    ],
    [
      "a bad rate",
      `roles:\n  x: ${ROLE}, rate_limits: [{ name: n, per: key, capacity: 5, refill: fast }] }\n`,
      [/rate_limits\[0\]\.refill: "fast" is not a rate/],
    ],
    [
      "a limit twice",
      `roles:\n  x: ${ROLE}, rate_limits: [{ name: n, per: key, capacity: 5, refill: 1/s }, { name: n, per: role, capacity: 5, refill: 1/s }] }\nroutes: []\n`,
      [/a second limit "n"/],
    ],
    [
      "a bad pattern",
      "routes:\n  - { path: /a/**/b }\n",
      [/^p\.yaml:2: routes\[0\]\.path: .*is only allowed at the end/],
    ],
    [
      "a public route with scopes",
      "routes:\n  - { path: /a, public: true, scopes: [chat:read] }\n",
      [/asks for no scopes/],
    ],
    [
      "a role that is no name",
      'roles:\n  "a b": { scopes: [], ttl: 1d, refresh_window: 1h }\n',
      [/^p\.yaml:2: roles\.a b: must be letters/],
    ],
    ["a key twice", "defaults: {}\ndefaults: {}\n", [/^p\.yaml:2: .*unique/i]],
    ["no YAML", "roles: [\n", [/^p\.yaml:\d: /]],
    ["a list", "- a\n", [/^p\.yaml:1: /]],
    [
      "everything at once",
      "rolls: {}\ndefaults: { mode: shade }\n",
      [/rolls: unknown field/, /defaults\.mode/],
    ],
  ];
  test.each(cases)("a policy with %s is rejected with its line", (_what, text, problems) => {
    const found = problemsOf(text);
    for (const problem of problems)
      expect(
        found.some((line) => problem.test(line)),
        found.join("\n"),
      ).toBe(true);
    expect(found.length).toBeGreaterThanOrEqual(problems.length);
  });

  test("a role named like an inherited property of objects is an ordinary role, and without such a role there is none", () => {
    for (const name of ["constructor", "toString", "hasOwnProperty"]) {
      expect([...policyOf(`roles:\n  ${name}: ${ROLE} }\nroutes: []\n`).roles.keys()]).toEqual([name]);
    }
    expect(policyOf("{}").roles.get("constructor")).toBeUndefined();
  });
});

test("the number of routes with a metric label of their own is bounded", () => {
  const routes = Array.from({ length: 300 }, (_, at) => `  - { path: /r${at} }`).join("\n");
  expect(policyOf(`routes:\n${routes}\n`).routeLabels.size).toBe(200 + 1);
});

describe("policy: { complete: true }", () => {
  const text = `${readFileSync(BUILT_IN_POLICY_FILE, "utf8")}\npolicy: { complete: true }\n`;
  const isLoaded = (part: string) =>
    parsePolicy({ text: part, fileName: "p.yaml", requireComplete: true }).ok;

  test("if complete is required, no truncated file is loaded, wherever a writer pauses", () => {
    expect(isLoaded(text)).toBe(true);
    const end = text.lastIndexOf("}");
    for (let length = 0; length <= end; length += length < end - 200 ? 17 : 1)
      expect(isLoaded(text.slice(0, length)), `the first ${length} characters`).toBe(false);
  });

  test("complete must be the last entry, and its only value is true", () => {
    expect(problemsOf("policy: { complete: true }\nroutes: []\n")).toEqual([
      "p.yaml:1: policy: must be the last entry of the file",
    ]);
    expect(problemsOf("policy: { complete: false }\n")).toHaveLength(1);
  });
});
