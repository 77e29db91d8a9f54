import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { z } from "zod";
import { PROBLEM_NAMES, PROBLEMS } from "../../src/api/http/problem.ts";
import { SETTING_GROUPS, SETTINGS } from "../../src/config/settings.ts";
import { DENIALS, DENY_REASONS, deny } from "../../src/core/decision/decision.ts";
import { denyResponse } from "../../src/ext-authz/deny-response.ts";
import { policySchema } from "../../src/policy/schema.ts";
import { createInstruments } from "../../src/telemetry/metrics/instruments.ts";
import { anchorsOf, codeOf, DOCUMENTS, ROOT, readDocument } from "../support/documents.ts";

const root = ROOT;
const read = readDocument;

test("docs/reference/settings.md has every setting in its group, with the default and meaning of the code, and no other", () => {
  const documented = [
    ...read("docs/reference/settings.md").matchAll(
      /^## (.+)$|^### `([A-Z_]+)`\n\n(.+)\n\n(.+)\. Example: `/gm,
    ),
  ].map(([, group, name, meaning, value]) => (group === undefined ? [name, meaning, value] : [group]));
  const wanted = Object.entries(SETTING_GROUPS).flatMap(([group, settings]) => [
    [group],
    ...Object.entries(settings).map(([name, setting]) => {
      const value = "default" in setting ? `\`${setting.default}\`` : "none";
      return [name, setting.meaning, `${"secret" in setting ? "Secret. " : ""}Default: ${value}`];
    }),
  ]);
  expect(documented.slice(0, wanted.length)).toEqual(wanted);
  expect(documented.slice(wanted.length).filter(([name = ""]) => Object.hasOwn(SETTINGS, name))).toEqual([]);
});

test("docs/reference/settings.md has an example for every setting, which the setting accepts", () => {
  const examples = [...read("docs/reference/settings.md").matchAll(/ Example: `([A-Z_]+)=(.+)`$/gm)];
  const names = examples.map(([, name = ""]) =>
    Object.hasOwn(SETTINGS, name) ? name : name.replace(/_FILE$/, ""),
  );
  expect(names).toEqual(Object.keys(SETTINGS));
  const schemas = new Map<string, z.ZodType>(
    Object.entries(SETTINGS).map(([name, { schema }]) => [name, schema]),
  );
  const rejected = examples.filter(
    ([, name = "", text]) => schemas.get(name)?.safeParse(text).success === false,
  );
  expect(rejected.map(([example]) => example)).toEqual([]);
});

test("docs/operations/failure-modes.md has an entry for every reason, with its status, and no other", () => {
  const headings = [...read("docs/operations/failure-modes.md").matchAll(/^### `(\w+)` \((\d+)\)$/gm)].map(
    ([, name, status]) => `${name} ${status}`,
  );
  const wanted = DENY_REASONS.map((reason) => `${reason} ${DENIALS[reason].status}`);
  expect(headings.sort()).toEqual(wanted.sort());
});

test("docs/reference/reasons.md has every reason, with its HTTP and its gRPC status, and no other", () => {
  const page = read("docs/reference/reasons.md");
  const rows = [...page.matchAll(/^\| \[`(\w+)`\]\([^)]*\) \| (\d+) \| (\d+) [A-Z_]+ \|/gm)].map((row) =>
    row.slice(1),
  );
  const context = {
    decisionId: "d",
    forwardPrefix: "x-",
    legacyRateLimit: false,
    credentialSources: [],
    request: undefined,
    grpc: true,
  };
  const wanted = DENY_REASONS.map((reason) => {
    const { status, headers = [] } = denyResponse(deny(reason), context).denied_response;
    return [
      reason,
      `${status.code}`,
      headers.find(({ header }) => header.key === "grpc-status")?.header.value,
    ];
  });
  expect(rows).toEqual(wanted);
});

test("docs/reference/api.md has an entry for every problem that only the key API has", () => {
  const rows = [...read("docs/reference/api.md").matchAll(/^\| `([\w-]+)` \| (\d+) \|/gm)].map(
    ([, name, status]) => `${name} ${status}`,
  );
  const own = PROBLEM_NAMES.filter((name) => !Object.hasOwn(DENIALS, name));
  expect(rows.sort()).toEqual(
    own.map((name) => `${name.replaceAll("_", "-")} ${PROBLEMS[name].status}`).sort(),
  );
});

test("docs/reference/metrics.md has every metric of Latchkey, with its type and labels, and no other", () => {
  const rows = [
    ...read("docs/reference/metrics.md").matchAll(/^\| `(latchkey_\w+)` \| (\w+) \| ([^|]*)\|/gm),
  ].map(([, name, type, labels = ""]) => [
    name,
    type,
    ...[...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
  ]);
  const metrics = Object.values(createInstruments(new Registry())).map((metric) => {
    // The types of prom-client do not declare these members.
    const { name, labelNames }: { name: string; labelNames: readonly string[] } = Object(metric);
    return [name, metric.constructor.name.toLowerCase(), ...labelNames];
  });
  expect(rows).toEqual(metrics);
});

test("docs/reference/policy.md names every field of the policy file", () => {
  const text = read("docs/reference/policy.md");
  const fields = fieldNames(policySchema);
  expect(fields.length).toBeGreaterThan(25);
  expect(fields.filter((name) => !text.includes(name))).toEqual([]);
});

test("every link between the documents leads somewhere, and its anchor to a heading", () => {
  const broken = DOCUMENTS.flatMap((document) =>
    [...readDocument(document).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
      .filter(([, target = "", anchor]) => !leadsSomewhere(document, target, anchor))
      .map(([link]) => `${document}: ${link}`),
  );
  expect(broken).toEqual([]);
});

function leadsSomewhere(document: string, target: string, anchor: string | undefined): boolean {
  const path = target === "" ? document : join(dirname(document), target);
  if (!existsSync(join(root, path))) return false;
  return anchor === undefined || anchorsOf(read(path)).has(anchor);
}

test("the target of a packaged document's link is in the package too", () => {
  const { files } = z.object({ files: z.array(z.string()) }).parse(JSON.parse(read("package.json")));
  const isShipped = (path: string) =>
    files.some((file) => `${path}/`.startsWith(`${file}/`) || file.startsWith(`${path}/`));
  const missing = DOCUMENTS.filter((document) => document === "README.md" || isShipped(document)).flatMap(
    (document) =>
      [...readDocument(document).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)]
        .map(([, target = ""]) => join(dirname(document), target).replace(/\/$/, ""))
        .filter((path) => path !== "README.md" && !isShipped(path))
        .map((path) => `${document}: ${path}`),
  );
  expect(missing).toEqual([]);
});

test("every threat in SECURITY.md has a defence and names a test that is there", () => {
  const entries = read("SECURITY.md")
    .split(/^- (?=\*\*)/m)
    .slice(1)
    .map((entry) => (entry.split("\n\n")[0] ?? "").trimEnd());
  expect(entries.length).toBeGreaterThan(80);
  for (const entry of entries) {
    const [, defence = "", tests = ""] = /^\*\*[\s\S]+?\*\*\n([\s\S]+)\n {2}Tests: (.+)$/.exec(entry) ?? [];
    const files = [...tests.matchAll(/`([^`]+)`/g)].map(([, path = ""]) => path);
    const isComplete = defence.trim() !== "" && files.length > 0;
    expect([entry, isComplete && files.every((path) => existsSync(join(root, path)))]).toEqual([entry, true]);
  }
});

test("README.md links to docs/README.md, which links to every page", () => {
  expect(read("README.md")).toContain("](docs/README.md)");
  const pages = DOCUMENTS.filter((name) => name !== "docs/README.md");
  const index = read("docs/README.md");
  expect(pages.filter((page) => !index.includes(`](${relative("docs", page)})`))).toEqual([]);
});

test("README.md has the right number of dependencies", () => {
  const packages = z.record(z.string(), z.string());
  const { dependencies, optionalDependencies } = z
    .object({ dependencies: packages, optionalDependencies: packages })
    .parse(JSON.parse(read("package.json")));
  const [runtime, optional] = [dependencies, optionalDependencies].map((all) => Object.keys(all).length);
  expect(read("README.md")).toContain(`${runtime} runtime dependencies (and ${optional} of OpenTelemetry`);
});

test("ARCHITECTURE.md names every module, and README.md keeps to 150 lines", () => {
  const modules = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  const text = read("ARCHITECTURE.md");
  expect(modules.map(({ name }) => `src/${name}/`).filter((module) => !text.includes(module))).toEqual([]);
  expect(read("README.md").split("\n").length).toBeLessThanOrEqual(150);
});

test("every file of src that ARCHITECTURE.md names exists", () => {
  const named = codeOf(read("ARCHITECTURE.md")).flatMap(
    ({ text }) => text.match(/[\w-]+(?:\/[\w-]+)+\.(?:ts|lua)\b/g) ?? [],
  );
  const files = named.filter((path) => !/^(?:src|test)\//.test(path));
  expect(files.length).toBeGreaterThan(40);
  expect(files.filter((path) => !existsSync(join(root, "src", path)))).toEqual([]);
});

test("README.md says that no licence has been chosen, as package.json does", () => {
  expect(JSON.parse(read("package.json")).license).toBe("UNLICENSED");
  expect(read("README.md")).toContain("`UNLICENSED`");
});

test("a concept is one page of at most 120 lines, with a diagram", () => {
  const concepts = DOCUMENTS.filter((name) => name.startsWith("docs/concepts/"));
  expect(concepts.length).toBeGreaterThanOrEqual(5);
  expect(concepts.filter((page) => read(page).split("\n").length > 121)).toEqual([]);
  expect(concepts.filter((page) => !read(page).includes("```mermaid\n"))).toEqual([]);
});

test("no table cell of a document is longer than 200 characters", () => {
  const documents = DOCUMENTS.filter(
    (name) => ["README.md", "ARCHITECTURE.md", "SECURITY.md"].includes(name) || name.startsWith("docs/"),
  );
  const long = documents.flatMap((name) =>
    read(name)
      .split("\n")
      .filter((line) => line.startsWith("|"))
      .flatMap((line) => line.split(/(?<!\\)\|/))
      .filter((cell) => cell.trim().length > 200)
      .map((cell) => `${name}: ${cell.trim().slice(0, 60)}`),
  );
  expect(long).toEqual([]);
});

/** The names of all members of a zod schema, at every depth. */
function fieldNames(schema: unknown): string[] {
  const names = new Set<string>();
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    if ("shape" in value && typeof value.shape === "object" && value.shape !== null) {
      for (const [name, member] of Object.entries(value.shape)) {
        names.add(name);
        visit(member);
      }
    }
    for (const inner of ["def", "innerType", "element", "valueType", "in"]) visit(Reflect.get(value, inner));
  };
  visit(schema);
  return [...names];
}

test("docs/operations/failure-modes.md answers the deployment guide's four issues by their own words", () => {
  const text = read("docs/operations/failure-modes.md");
  const issues = [
    "V2 endpoints return 404",
    "500 errors on V2 registration",
    "JWT decode errors",
    "Keys expire too quickly",
  ];
  expect(issues.filter((issue) => !text.includes(`### Issue: ${issue}`))).toEqual([]);
});
