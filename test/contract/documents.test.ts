import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { z } from "zod";
import { PROBLEM_NAMES, PROBLEMS } from "../../src/api/http/problem.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { DENY_REASONS, REFUSALS } from "../../src/core/decision/decision.ts";
import { policySchema } from "../../src/policy/schema.ts";
import { createInstruments } from "../../src/telemetry/metrics/instruments.ts";
import { anchorsOf, DOCUMENTS, ROOT, readDocument } from "../support/documents.ts";

const root = ROOT;
const read = readDocument;

test("docs/reference/settings.md has every setting, with the default and meaning of the code, and no other", () => {
  const rows = read("docs/reference/settings.md")
    .split("\n")
    .filter((line) => /^\| `[A-Z_]+`/.test(line));
  const wanted = Object.entries(SETTINGS).map(([name, setting]) => {
    const secret = "secret" in setting ? " *secret*" : "";
    return `| \`${name}\`${secret} | ${"default" in setting ? `\`${setting.default}\`` : ""} | ${setting.meaning} |`;
  });
  expect(rows).toEqual(wanted);
});

test("docs/operations/failure-modes.md has an entry for every reason, with its status, and no other", () => {
  const headings = [...read("docs/operations/failure-modes.md").matchAll(/^### `(\w+)` \((\d+)\)$/gm)].map(
    ([, name, status]) => `${name} ${status}`,
  );
  const wanted = DENY_REASONS.map((reason) => `${reason} ${REFUSALS[reason].status}`);
  expect(headings.sort()).toEqual(wanted.sort());
});

test("docs/reference/api.md has an entry for every problem that only the key API has", () => {
  const rows = [...read("docs/reference/api.md").matchAll(/^\| `([\w-]+)` \| (\d+) \|/gm)].map(
    ([, name, status]) => `${name} ${status}`,
  );
  const own = PROBLEM_NAMES.filter((name) => !Object.hasOwn(REFUSALS, name));
  expect(rows.sort()).toEqual(
    own.map((name) => `${name.replaceAll("_", "-")} ${PROBLEMS[name].status}`).sort(),
  );
});

test("docs/reference/metrics.md has every metric of ours, with its type and labels, and no other", () => {
  const rows = [
    ...read("docs/reference/metrics.md").matchAll(/^\| `(latchkey_\w+)` \| (\w+) \| ([^|]*)\|/gm),
  ].map(([, name, type, labels = ""]) => [
    name,
    type,
    ...[...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
  ]);
  const metrics = Object.values(createInstruments(new Registry())).map((metric) => {
    // What prom-client's types keep to themselves.
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

test("every link between the documents leads somewhere, to a heading that is there where it names one", () => {
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

test("what a document leads to is in the package as well, where the document is", () => {
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

test("README.md leads to every page", () => {
  const pages = DOCUMENTS.filter((name) => name !== "README.md");
  expect(pages.filter((page) => !read("README.md").includes(`](${page}`))).toEqual([]);
});

test("README.md counts the dependencies right", () => {
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

/** Documents with longer cells. Remove a name once its tables are short. */
const LONG_TABLES: readonly string[] = [
  "README.md",
  "docs/concepts/limits.md",
  // Its section Rotation.
  "docs/operations/operations.md",
  "docs/reference/policy.md",
  "docs/reference/settings.md",
];

test("no table cell of a document is longer than 200 characters", () => {
  const documents = DOCUMENTS.filter(
    (name) => ["README.md", "ARCHITECTURE.md", "SECURITY.md"].includes(name) || name.startsWith("docs/"),
  );
  const long = documents
    .filter((name) => !LONG_TABLES.includes(name))
    .flatMap((name) =>
      read(name)
        .split("\n")
        .filter((line) => line.startsWith("|"))
        .flatMap((line) => line.split(/(?<!\\)\|/))
        .filter((cell) => cell.trim().length > 200)
        .map((cell) => `${name}: ${cell.trim().slice(0, 60)}`),
    );
  expect(long).toEqual([]);
});

/** The names of all members, at every depth. */
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
