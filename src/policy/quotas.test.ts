import { describe, expect, test } from "vitest";
import { parsePolicy } from "./file.ts";
import { loadPolicy } from "./load.ts";

const MONTHLY = "name: monthly, per: owner, limit: 10, every: month";
const ROLE = "scopes: [a], ttl: 1d, refresh_window: 1h";
const roles = (more = "") => `roles:\n  x: { ${ROLE}${more} }\nroutes: []\n`;
const plan = (...quotas: readonly string[]) =>
  `  free: { quotas: [${quotas.map((quota) => `{ ${quota} }`).join(", ")}] }\n`;

function problemsOf(text: string): readonly string[] {
  const result = parsePolicy({ text, fileName: "p.yaml" });
  return result.ok ? [] : result.problems;
}

test("a plan and a role have their quotas, when the policy is parsed and when it is reloaded", async () => {
  const berlin =
    "{ name: daily, per: key, limit: 0, every: day, time_zone: europe/berlin, unit: llm_tokens }";
  const text = `plans:\n${plan(MONTHLY)}${roles(`, quotas: [${berlin}]`)}faults: { quotas: deny }\n`;
  for (const parsed of [parsePolicy({ text, fileName: "p" }), await loadPolicy({ text, fileName: "p" })]) {
    if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
    const { policy } = parsed;
    expect(policy.faults.quotas).toBe("deny");
    expect(policy.plans.get("free")?.quotas).toEqual([
      { name: "monthly", per: "owner", limit: 10, every: "month", timeZone: "UTC", unit: "requests" },
    ]);
    expect(policy.plans.get("free")?.rateLimits).toBeUndefined();
    expect(policy.roles.get("x")?.quotas).toEqual([
      { name: "daily", per: "key", limit: 0, every: "day", timeZone: "Europe/Berlin", unit: "llm_tokens" },
    ]);
    expect(policy.warnings).toEqual([
      'roles.x.quotas: quota "daily" has no effect: nothing charges llm_tokens',
    ]);
  }
});

describe("invalid quotas are rejected with the line of each problem", () => {
  test.each<readonly [what: string, text: string, problems: readonly RegExp[]]>([
    [
      "an unknown time zone",
      `plans:\n${plan(`${MONTHLY}, time_zone: Europe/Berln`)}`,
      [/^p\.yaml:2: plans\.free\.quotas\[0\]\.time_zone: "Europe\/Berln" is not an IANA time zone/],
    ],
    [
      "an offset instead of a time zone",
      `plans:\n${plan(`${MONTHLY}, time_zone: "+01:00"`)}`,
      [/time_zone: "\+01:00" is not an IANA time zone/],
    ],
    [
      "the time zone of an hour",
      `plans:\n${plan("name: n, per: key, limit: 1, every: hour, time_zone: UTC")}`,
      [/^p\.yaml:2: plans\.free\.quotas\[0\]\.time_zone: an hour is the same in every time zone$/],
    ],
    ...["1152921504606846976", "1000000000001", "-1", "1.5", ".inf", ".nan"].map(
      (limit) =>
        [
          `the limit ${limit}`,
          `plans:\n${plan(`name: n, per: key, limit: ${limit}, every: day`)}`,
          [/^p\.yaml:2: plans\.free\.quotas\[0\]\.limit: /],
        ] as const,
    ),
    [
      "a quota per address",
      `plans:\n${plan("name: n, per: address, limit: 1, every: day")}`,
      [/^p\.yaml:2: plans\.free\.quotas\[0\]\.per: /],
    ],
    ["a year", `plans:\n${plan("name: n, per: key, limit: 1, every: year")}`, [/quotas\[0\]\.every: /]],
    [
      "two quotas of one name",
      `plans:\n${plan(MONTHLY, MONTHLY)}`,
      [/\[1\]\.name: a second quota "monthly"$/],
    ],
    [
      "a limit and a quota of one name",
      `plans:\n  free: { rate_limits: [{ name: n, per: key, capacity: 5, refill: 1/s }], quotas: [{ name: n, per: key, limit: 1, every: day }] }\n`,
      [/^p\.yaml:2: plans\.free\.quotas\[0\]\.name: a limit is named "n" too$/],
    ],
    [
      "quotas beside the plan of a role",
      `plans:\n${plan(MONTHLY)}${roles(", plan: free, quotas: []")}`,
      [/^p\.yaml:4: roles\.x\.quotas: a role has a plan or limits of its own, not both$/],
    ],
    ...(
      [
        ["per", "per: key, every: month"],
        ["every", "per: owner, every: day"],
        ["time_zone", "per: owner, every: month, time_zone: Asia/Tokyo"],
        ["unit", "per: owner, every: month, unit: tokens"],
      ] as const
    ).map(
      ([field, count]) =>
        [
          `one name with another ${field} in a plan and in a role`,
          `plans:\n${plan(MONTHLY)}${roles(`, quotas: [{ name: monthly, limit: 5, ${count} }]`)}`,
          [
            new RegExp(
              `^p\\.yaml:4: roles\\.x\\.quotas\\[0\\](\\.${field})?: quota "monthly" has ${field} .* in plans\\.free, but one counter$`,
            ),
          ],
        ] as const,
    ),
  ])("%s", (_what, text, problems) => {
    expect(problemsOf(text)).toEqual(problems.map((problem) => expect.stringMatching(problem)));
  });

  test("one name with another limit in each list is valid", () => {
    expect(
      problemsOf(`plans:\n${plan(MONTHLY)}${roles(`, quotas: [{ ${MONTHLY.replace("10", "99")} }]`)}`),
    ).toEqual([]);
  });
});
