import { mkdtempSync, readdirSync, realpathSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { parseJson } from "../../scripts/latchkey-process.ts";
import { removeAtEnd } from "../support/at-end.ts";
import type { Instruction, Stage } from "../support/dockerfile.ts";
import { copyContext, readDockerfile, runDockerfile } from "../support/dockerfile.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import { startUpstream } from "../support/upstream.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PATH = [join(ROOT, "node_modules/.bin"), process.env["PATH"]].join(delimiter);
const words = z.array(z.string());

let instructions: readonly Instruction[];
let image: Stage;

beforeAll(() => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "latchkey-container-")));
  removeAtEnd(folder);
  copyContext(ROOT, join(folder, "context"));
  instructions = readDockerfile(join(ROOT, "Dockerfile"));
  image = runDockerfile(instructions, {
    context: join(folder, "context"),
    rootsIn: join(folder, "roots"),
    environment: { ...process.env, PATH },
  });
});

/** The image's command, with its absolute paths in the folder that represents its root. */
function start(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  onLine?: (line: string) => void,
): Promise<Child> {
  const inRoot = (text: string) => text.replace(/^\/(?=app|data|etc)/, `${image.root}/`);
  const env = { PATH, ...image.environment, ...environment };
  const [program = "", ...args] = command.map(inRoot);
  return startChild(program, args, {
    cwd: inRoot(image.workdir),
    env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, inRoot(value)])),
    stopWithinMs: 15_000,
    ...(onLine && { onStdoutLine: onLine }),
  });
}

const setting = (name: string) => image.settings.get(name) ?? "";
const command = () => [
  ...words.parse(JSON.parse(setting("ENTRYPOINT"))),
  ...words.parse(JSON.parse(setting("CMD"))),
];
const health = () => words.parse(JSON.parse(setting("HEALTHCHECK").split(" CMD ")[1] ?? ""));
const any = "127.0.0.1:0";

/** Without Docker its ports are this machine's, so they are free ports of loopback. */
const OWN_PORTS = { GRPC_LISTEN: any, HTTP_LISTEN: any, OPERATOR_LISTEN: any };
const secrets = () => ({
  JWT_SECRET: newSecret(),
  KEY_HASH_SECRET: newSecret(),
  ADMIN_TOKEN: newSecret(),
  AUDIT_KEY: newSecret(),
});

describe("the Dockerfile's steps, run on a copy of the build context", () => {
  test("the image has two stages, an unprivileged user and the ports of the listeners", () => {
    expect(instructions.filter(({ name }) => name === "FROM")).toHaveLength(2);
    expect(setting("USER")).toBe("10001:10001");
    const { environment } = image;
    const exposed = [environment["GRPC_LISTEN"], environment["HTTP_LISTEN"], environment["OPS_LISTEN"]];
    expect(exposed.map((listen) => listen?.split(":")[1]).join(" ")).toBe(setting("EXPOSE"));
  });

  test("the image contains no sources, tests, compilers or development packages", () => {
    expect(readdirSync(image.root).sort()).toEqual(["app", "data", "etc"]);
    const app = join(image.root, "app");
    expect(readdirSync(app).sort()).toEqual(
      ["bin", "dist", "healthy.js", "latchkey.yaml", "node_modules", "package.json", "proto"].sort(),
    );
    const packages = readdirSync(join(app, "node_modules"));
    expect(packages).toContain("fastify");
    expect(packages.filter((name) => ["typescript", "vitest", "@biomejs", "node"].includes(name))).toEqual(
      [],
    );
  });

  test("without secrets it does not start, and lists the missing ones", async () => {
    const child = await start(command(), {});
    expect(await child.exited).toBe(1);
    expect(child.output()).toMatch(/JWT_SECRET is missing/);
    expect(child.output()).toMatch(/GRPC_LISTEN would listen in clear text/);
  });

  test("it decides a real Envoy's requests, is healthy meanwhile, writes only to /data, and stops by SIGTERM", async () => {
    const before = listing();
    const ready = Promise.withResolvers<{ grpc: string; http: string; ops: string }>();
    const form = z.object({ msg: z.literal("ready"), grpc: z.string(), http: z.string(), ops: z.string() });
    const env = { ...OWN_PORTS, OPS_LISTEN: any, ...secrets(), DRAIN_SECONDS: "0" };
    const child = await start(command(), env, (line) => {
      const parsed = form.safeParse(parseJson(line));
      if (parsed.success) ready.resolve(parsed.data);
    });
    const ended = child.exited.then(() => Promise.reject(new Error(child.output())));
    const listeners = await Promise.race([ready.promise, ended]);
    ended.catch(() => undefined);
    const upstream = await startUpstream();
    const envoy = await startEnvoy({ authzTarget: listeners.grpc, upstreamPort: upstream.port });
    const { api_key } = await registerKey(listeners.http);
    const ask = (headers: Record<string, string>) =>
      fetch(`http://127.0.0.1:${envoy.port}/v1/chat/x`, { headers });
    expect((await ask({})).status).toBe(401);
    expect((await ask({ "x-api-key": api_key })).status).toBe(200);
    const healthy = async () => (await start(health(), { OPS_LISTEN: listeners.ops })).exited;
    expect(await healthy()).toBe(0);
    await Promise.all([envoy.stop(), upstream.stop()]);
    expect(await child.stop("SIGTERM")).toBe(0);
    expect(await healthy()).toBe(1);
    expect(listing()).toEqual(before);
  });
});

/** Every file of the image outside /data, with its size. */
function listing(): readonly string[] {
  const app = join(image.root, "app");
  return readdirSync(app, { recursive: true, encoding: "utf8" })
    .map((name) => `${name} ${statSync(join(app, name)).size}`)
    .sort();
}
