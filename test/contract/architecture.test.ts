import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../support/documents.ts";

const ADAPTERS =
  "api audit ext-authz forward-auth grpc http1 http2 jwt legacy memory oidc policy ratelimit redis sqlite telemetry tickets workers".split(
    " ",
  );

/** Which modules a module may import, beside itself. Type-only imports count. Everything that is not listed is forbidden. */
const MODULES: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(ADAPTERS.map((adapter) => [adapter, ["core", "config"]])),
  browser: [],
  client: [],
  console: ["client"],
  core: [],
  config: ["core"],
  http1: ["core", "config"],
  http2: ["core"],
  api: ["core", "config", "http1"],
  grpc: ["core", "config", "http2"],
  "ext-authz": ["core", "config", "grpc"],
  ratelimit: ["core", "config", "grpc"],
  "forward-auth": ["core", "config", "ext-authz", "http1"],
  server: [...ADAPTERS.filter((adapter) => adapter !== "workers"), "core", "config"],
  cli: [...ADAPTERS, "core", "config", "client", "server"],
  main: ["cli"],
};

/** The only module that may import a package. Other packages are free, but for core, which imports none. */
const PACKAGES: Readonly<Record<string, string>> = {
  "@fastify/cors": "api",
  "@grpc/grpc-js": "grpc",
  "@grpc/proto-loader": "grpc",
  "@opentelemetry": "telemetry",
  commander: "cli",
  esbuild: "api",
  fastify: "api",
  ioredis: "redis",
  jose: "jwt",
  "openid-client": "oidc",
  "node:cluster": "workers",
  "node:sqlite": "sqlite",
  pino: "telemetry",
  preact: "console",
  "prom-client": "telemetry",
  uplot: "console",
};

/** Of a module with one public file: that file. */
const PUBLIC_FILE: Readonly<Record<string, string>> = { http2: "src/http2/server.ts" };

interface Import {
  /** `file:line` of the import. */
  readonly at: string;
  readonly from: string;
  /** A path in the repository, or the name of a package. */
  readonly to: string;
}

const STATEMENT =
  /^\s*(?:import|export)\b[^;]*?\bfrom\s+"([^"]+)"|\bimport\(\s*"([^"]+)"|^import "([^"]+)"/gm;

const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
  .map((name) => `src/${name}`)
  .filter((name) => /\.tsx?$/.test(name) && !/\.(?:test|d)\.ts$/.test(name));

const imports: readonly Import[] = sources.flatMap((from) => {
  const text = readFileSync(join(ROOT, from), "utf8");
  return [...text.matchAll(STATEMENT)].map((match) => {
    const named = match[1] ?? match[2] ?? match[3] ?? "";
    const line = text.slice(0, match.index).trimEnd().split("\n").length;
    const to = named.startsWith(".") ? normalize(join(dirname(from), named)) : named;
    return { at: `${from}:${line}`, from, to };
  });
});

const moduleOf = (path: string) => (path === "src/main.ts" ? "main" : (path.split("/")[1] ?? ""));

function problemOf({ from, to }: Import): string | undefined {
  const [module, target] = [moduleOf(from), moduleOf(to)];
  if (to.startsWith("src/")) {
    if (module === target) return undefined;
    if (MODULES[module]?.includes(target) !== true) return `${module} must not import ${target}`;
    const entry = PUBLIC_FILE[target];
    return entry === undefined || entry === to ? undefined : `other modules import ${entry} only`;
  }
  if (/^(?:test|scripts|bench)\//.test(to)) return "src imports nothing outside src";
  if (module === "console" && to.startsWith("node:")) return "a browser has no node: module";
  if (module === "core") return "core imports no package and no node: module";
  const owner = Object.entries(PACKAGES).find(([name]) => to === name || to.startsWith(`${name}/`))?.[1];
  return owner === undefined || owner === module ? undefined : `only ${owner} imports ${to}`;
}

test("every import goes from a module to one that it may import", () => {
  const problems = imports.flatMap((found) => {
    const problem = problemOf(found);
    return problem === undefined ? [] : [`${found.at}: ${problem} (${found.to})`];
  });
  expect(imports.length).toBeGreaterThan(1000);
  expect(problems).toEqual([]);
});

test("no file imports itself through others, types included", () => {
  const targets = Map.groupBy(imports, ({ from }) => from);
  const finished = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    if (finished.has(file) || path.includes(file)) return;
    for (const { to } of targets.get(file) ?? []) visit(to, [...path, file]);
    finished.add(file);
  };
  for (const file of sources) visit(file, []);
  expect(cycles).toEqual([]);
});

test("src has main.ts and modules, and each module is in the table", () => {
  const entries = readdirSync(join(ROOT, "src"), { withFileTypes: true });
  expect(entries.filter((entry) => entry.isFile()).map(({ name }) => name)).toEqual(["main.ts"]);
  const modules = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  expect(modules.filter((module) => !Object.hasOwn(MODULES, module))).toEqual([]);
});
