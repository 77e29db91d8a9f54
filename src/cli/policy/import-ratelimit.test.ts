import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { removeAtEnd } from "../../../test/support/at-end.ts";
import { runHere } from "../../../test/support/program.ts";
import { parsePolicy } from "../../policy/file.ts";
import { importRateLimits } from "./import-ratelimit.ts";

const FILE = `domain: edge
descriptors:
  - key: path
    value: /login
    rate_limit: { unit: MINUTE, requests_per_unit: 5 }
  - key: path
    value: /api/*
    rate_limit: { unit: second, requests_per_unit: 100, name: api }
  - key: tenant
    detailed_metric: true
    descriptors:
      - { key: plan, value: gold, rate_limit: { unlimited: true } }
      - { key: plan, value: trial, shadow_mode: true, rate_limit: { unit: day, requests_per_unit: 1000 } }
  - key: month
    rate_limit: { unit: MONTH, requests_per_unit: 10 }
  - key: year
    rate_limit: { unit: year, requests_per_unit: 10 }
  - key: empty
`;

test("what has a counterpart is converted, and everything else is named with its line", () => {
  const { policy, problems } = importRateLimits(FILE, "limits.yaml");
  expect(policy).toEqual({
    rate_limit_service: {
      domains: {
        edge: {
          descriptors: [
            { key: "path", value: "/login", rate_limit: { unit: "minute", requests_per_unit: 5 } },
            { key: "path", value: "/api/*", rate_limit: { unit: "second", requests_per_unit: 100 } },
            {
              key: "tenant",
              descriptors: [
                { key: "plan", value: "gold", rate_limit: { unlimited: true } },
                {
                  key: "plan",
                  value: "trial",
                  shadow_mode: true,
                  rate_limit: { unit: "day", requests_per_unit: 1000 },
                },
              ],
            },
            { key: "month", rate_limit: { unit: "month", requests_per_unit: 10 } },
          ],
        },
      },
    },
  });
  expect(problems).toEqual([
    "limits.yaml:8: name has no counterpart, and is left out",
    "limits.yaml:10: detailed_metric has no counterpart, and is left out",
    "limits.yaml:17: the unit year has no counterpart: give the limit as capacity and refill",
    "limits.yaml:18: has neither a rate_limit nor descriptors, and is left out",
  ]);
});

test.each([
  ["no YAML", "a: [", /limits.yaml:1: /],
  ["another file", "a: b", /limits.yaml:1: the file has no domain and descriptors/],
  ["no file at all", "", /limits.yaml:1: /],
])("%s is rejected", (_name, text, problem) => {
  const { policy, problems } = importRateLimits(text, "limits.yaml");
  expect(policy).toBeUndefined();
  expect(problems.join("\n")).toMatch(problem);
});

test("a domain that a policy cannot have is named", () => {
  const { problems } = importRateLimits(FILE.replace("edge", "latchkey"), "limits.yaml");
  expect(problems.at(-1)).toContain("is reserved for Latchkey itself");
});

test("the command prints YAML that a policy can have, and exits with 1 if something is missing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-import-"));
  removeAtEnd(folder);
  const path = join(folder, "limits.yaml");
  await writeFile(path, FILE);
  const partial = await runHere(["policy", "import-ratelimit", path]);
  expect([partial.status, partial.stderr.split("\n").length - 1]).toEqual([1, 4]);
  expect(parsePolicy({ text: partial.stdout, fileName: "x" })).toMatchObject({ ok: true });
  await writeFile(
    path,
    "domain: edge\ndescriptors: [{ key: a, rate_limit: { unit: hour, requests_per_unit: 1 } }]",
  );
  const json = await runHere(["policy", "import-ratelimit", path, "--json"]);
  expect([json.status, JSON.parse(json.stdout).problems]).toEqual([0, []]);
  expect((await runHere(["policy", "import-ratelimit", join(folder, "absent")])).status).toBe(2);
});
