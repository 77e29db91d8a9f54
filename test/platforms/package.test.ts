import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { startChild } from "../../scripts/child.ts";
import { parseJson } from "../../scripts/latchkey-process.ts";
import { PLATFORMS, writeNote } from "../../scripts/platforms.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { startEnvoy } from "../support/envoy.ts";
import { registerKey } from "../support/keys.ts";
import { copyWorkingTree, packTree, TOOLS_PATH } from "../support/packed-package.ts";
import { startUpstream } from "../support/upstream.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Node 24 and tsc come from here; Latchkey itself does not. */
const PATH = TOOLS_PATH;

let folder: string;

/** Runs a command to its end and returns its output. Throws if it fails. */
function run(cwd: string, command: string, ...args: readonly string[]): string {
  const { HOME } = process.env;
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, HOME, PATH },
  });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}

/** The newest major version of Node on which the package must run, beside the one of the tests. */
const NODE_26 = "26.10.0";
/** Licences that let us ship a dependency with the package and in the image. */
const PERMISSIVE = ["MIT", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "0BSD"];
const version = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))).version;

const sbomForm = z.object({
  bomFormat: z.literal("CycloneDX"),
  components: z.array(
    z.object({
      name: z.string(),
      purl: z.string(),
      hashes: z.array(z.object({ alg: z.literal("SHA-512") })),
      licenses: z.array(z.object({ license: z.object({ id: z.string() }) })),
    }),
  ),
});

let tree: string;
let tarball: string;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "latchkey-consumer-")));
  removeAtEnd(folder);
  tree = await copyWorkingTree();
  tarball = await packTree(tree);
  install(folder);
  writeNote("package.test.ts", { versions: `Node ${process.versions.node} and ${NODE_26}` });
});

/** Installs the package in an empty folder, as another project would. */
function install(target: string): void {
  writeFileSync(
    join(target, "package.json"),
    JSON.stringify({ name: "consumer", private: true, type: "module", allowScripts: { node: true } }),
  );
  run(target, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", tarball);
}

describe(PLATFORMS["package.test.ts"], () => {
  test("packed from two copies of a tree, the package has the same bytes", async () => {
    const other = join(realpathSync(mkdtempSync(join(tmpdir(), "latchkey-copy-"))), "a-longer-name");
    removeAtEnd(other);
    cpSync(tree, other, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !path.endsWith("/dist"),
    });
    const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
    expect(hash(await packTree(other))).toBe(hash(tarball));
  });

  test("its bill of materials lists each runtime dependency with its hash and a permissive licence", () => {
    const printed = run(ROOT, "npm", "run", "--silent", "sbom");
    const { components } = sbomForm.parse(JSON.parse(printed));
    const shipped = readdirSync(join(folder, "node_modules")).filter((name) => /^[a-z]/.test(name));
    const listed = new Set(["latchkey", ...components.map(({ name }) => name)]);
    expect(shipped.filter((name) => !listed.has(name))).toEqual([]);
    expect(components.map(({ name }) => name)).not.toContain("vitest");
    const others = components.filter(({ licenses }) =>
      licenses.some(({ license }) => !PERMISSIVE.includes(license.id)),
    );
    expect(others).toEqual([]);
    expect(components.filter(({ hashes }) => hashes.length === 0)).toEqual([]);
  });

  test(`it starts in an empty folder on Node ${NODE_26}`, async () => {
    const other = realpathSync(mkdtempSync(join(tmpdir(), "latchkey-node26-")));
    removeAtEnd(other);
    install(other);
    run(other, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", `node@${NODE_26}`);
    const path = [join(other, "node_modules/.bin"), PATH].join(delimiter);
    const { stop, http } = await serveByNpx(other, path);
    expect(await registerKey(http)).toMatchObject({ role: "basic" });
    expect(await stop()).toContain('"stopped"');
  });

  test("the package has the files that it reads at run time, and neither sources nor tests", () => {
    const shipped = readdirSync(join(folder, "node_modules/latchkey"), { recursive: true, encoding: "utf8" });
    const scripts = readdirSync(join(ROOT, "src/redis/scripts")).filter((name) => name.endsWith(".lua"));
    expect(shipped).toEqual(
      expect.arrayContaining([
        "bin/latchkey.js",
        "dist/main.js",
        "dist/client/index.d.ts",
        "latchkey.yaml",
        "dist/browser/api-auth-migration.js",
        "deploy/helm/latchkey/Chart.yaml",
        ...readdirSync(join(ROOT, "proto")).map((name) => `proto/${name}`),
        ...scripts.map((name) => `dist/redis/scripts/${name}`),
      ]),
    );
    const sources = shipped.filter((name) => !name.startsWith("node_modules/") && /(?<!\.d)\.ts$/.test(name));
    expect(sources).toEqual([]);
    expect(shipped.filter((name) => name.includes(".test."))).toEqual([]);
  });

  test("the package has one command, which prints its version", () => {
    expect(run(folder, "npx", "--no", "--", "latchkey", "--version").trim()).toBe(version);
    const policy = "node_modules/latchkey/latchkey.yaml";
    expect(run(folder, "npx", "--no", "--", "latchkey", "policy", "check", policy)).not.toBe("");
  });

  test("`npx latchkey serve` decides the requests of a real Envoy, and stops on a signal", async () => {
    const { stop, grpc, http } = await serveByNpx();
    const upstream = await startUpstream();
    const envoy = await startEnvoy({ authzTarget: grpc, upstreamPort: upstream.port });
    try {
      const { api_key } = await registerKey(http);
      const ask = (headers: Record<string, string>) =>
        fetch(`http://127.0.0.1:${envoy.port}/v1/chat/x`, { headers });
      expect((await ask({})).status).toBe(401);
      expect((await ask({ authorization: `Bearer ${api_key}` })).status).toBe(200);
      const page = await (await fetch(`http://${http}/console`)).text();
      const files = [...page.matchAll(/"(\/console\/assets\/[^"]+)"/g)].map(([, path = ""]) => path);
      expect(files).toHaveLength(3);
      for (const path of ["/openapi.json", "/docs", "/api-auth-migration.js", ...files])
        expect((await fetch(`http://${http}${path}`)).status, path).toBe(200);
    } finally {
      await Promise.all([envoy.stop(), upstream.stop()]);
      expect(await stop()).toContain('"stopped"');
    }
  });

  test("the package has a typed client, which another program compiles against and calls", async () => {
    const program = `import { createClient, LatchkeyProblem } from "latchkey/client";
const client = createClient({ url: process.argv[2] ?? "" });
const issued = await client.register({ name: "consumer", key_type: "basic" });
const role: string = issued.role;
// @ts-expect-error: what it gives has types, not any.
const wrong: number = issued.role;
console.log(role, LatchkeyProblem.name);
`;
    writeFileSync(join(folder, "consumer.ts"), program);
    const types = ["--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")];
    run(folder, "tsc", "--strict", "--module", "nodenext", "--target", "es2024", ...types, "consumer.ts");
    const { stop, http } = await serveByNpx();
    try {
      expect(run(folder, "node", "consumer.js", `http://${http}`).trim()).toBe("basic LatchkeyProblem");
    } finally {
      await stop();
    }
  });
});

interface Served {
  readonly grpc: string;
  readonly http: string;
  /** Stops it as Ctrl-C in a terminal does, and returns its output. */
  stop(): Promise<string>;
}

const readyLine = z.object({ msg: z.literal("ready"), grpc: z.string(), http: z.string() });

async function serveByNpx(cwd = folder, path = PATH): Promise<Served> {
  const any = "127.0.0.1:0";
  const { HOME } = process.env;
  const ready = Promise.withResolvers<z.infer<typeof readyLine>>();
  const child = await startChild("npx", ["--no", "--", "latchkey", "serve"], {
    cwd,
    env: { PATH: path, HOME, GRPC_LISTEN: any, HTTP_LISTEN: any, OPS_LISTEN: any, DRAIN_SECONDS: "0" },
    ownGroup: true,
    onStdoutLine: (line) => {
      const parsed = readyLine.safeParse(parseJson(line));
      if (parsed.success) ready.resolve(parsed.data);
    },
  });
  const ended = child.exited.then((code) => Promise.reject(new Error(`npx: ${code}\n${child.output()}`)));
  const { grpc, http } = await Promise.race([ready.promise, ended]);
  ended.catch(() => undefined);
  const stop = async () => {
    // npx forwards no signal: a terminal sends it to the whole process group.
    process.kill(-child.pid, "SIGINT");
    await child.exited;
    return child.output();
  };
  return { grpc, http, stop };
}
