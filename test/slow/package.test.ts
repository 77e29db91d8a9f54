import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { startChild } from "../../scripts/child.ts";
import { parseJson } from "../../scripts/latchkey-process.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { startEnvoy } from "../support/envoy.ts";
import { registerKey } from "../support/keys.ts";
import { startUpstream } from "../support/upstream.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Node 24 and tsc come from here; Latchkey itself does not. */
const PATH = [join(ROOT, "node_modules/.bin"), process.env["PATH"]].join(delimiter);

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

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "latchkey-package-")));
  removeAtEnd(folder);
  run(ROOT, "npm", "pack", "--pack-destination", folder);
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "";
  writeFileSync(join(folder, "package.json"), '{ "name": "consumer", "private": true, "type": "module" }');
  run(folder, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", join(folder, tarball));
});

describe("the package, installed in an empty folder", () => {
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
    expect(run(folder, "npx", "--no", "--", "latchkey", "--version").trim()).toBe("0.1.0");
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
      for (const path of ["/openapi.json", "/docs", "/api-auth-migration.js"])
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

async function serveByNpx(): Promise<Served> {
  const any = "127.0.0.1:0";
  const { HOME } = process.env;
  const ready = Promise.withResolvers<z.infer<typeof readyLine>>();
  const child = await startChild("npx", ["--no", "--", "latchkey", "serve"], {
    cwd: folder,
    env: { PATH, HOME, GRPC_LISTEN: any, HTTP_LISTEN: any, OPS_LISTEN: any, DRAIN_SECONDS: "0" },
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
