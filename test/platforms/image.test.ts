import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { parseJson } from "../../scripts/latchkey-process.ts";
import { PLATFORMS, writeNote } from "../../scripts/platforms.ts";
import { run } from "../../scripts/run.ts";
import { removeAtEnd } from "../support/at-end.ts";
import type { Container } from "../support/container.ts";
import { startContainer } from "../support/container.ts";
import { startEnvoy } from "../support/envoy.ts";
import type { Image, ImageStore } from "../support/image.ts";
import { BASE, makeBase, openImageStore } from "../support/image.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import { startUpstream } from "../support/upstream.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MAX_ADDED_BYTES = 60_000_000;
const USER = 10001;
const any = "127.0.0.1:0";
const listeners = z.object({ grpc: z.string(), http: z.string(), ops: z.string() });
type Listeners = z.infer<typeof listeners>;
const readyLine = listeners.extend({ msg: z.literal("ready") });

describe(PLATFORMS["image.test.ts"], () => {
  let store: ImageStore | undefined;
  let image: Image;
  let root: string;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "latchkey-image-"));
    removeAtEnd(folder);
    const opened = await openImageStore();
    store = opened;
    await makeBase(join(folder, "base"));
    await opened.commit(join(folder, "base"), BASE);
    image = await opened.build(ROOT, "latchkey");
    root = await opened.rootOf("latchkey");
    const bytes = addedBytes(image);
    const versions = `buildah ${opened.version}, Node ${process.versions.node}, ${Math.round(bytes / 1e6)} MB over the base`;
    writeNote("image.test.ts", { versions });
  });

  // Hundreds of megabytes.
  afterAll(async () => {
    await store?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  async function start(
    env: Readonly<Record<string, string>>,
    more: { readonly policies?: string; readonly onStdoutLine?: (line: string) => void } = {},
  ): Promise<Container & { readonly ready: Promise<Listeners> }> {
    const data = await mkdtemp(join(folder, "data-"));
    await run("chown", [`${USER}:${USER}`, data]);
    const ready = Promise.withResolvers<Listeners>();
    const { config } = image;
    const [uid = 0, gid = 0] = config.User.split(":").map(Number);
    const listen = { GRPC_LISTEN: any, HTTP_LISTEN: any, OPERATOR_LISTEN: any, OPS_LISTEN: any };
    const container = await startContainer({
      root,
      readOnly: true,
      user: { uid, gid },
      args: [...config.Entrypoint, ...config.Cmd],
      env: { ...Object.fromEntries(config.Env.map((line) => line.split("=", 2))), ...listen, ...env },
      cwd: config.WorkingDir,
      mounts: [
        { source: data, target: "/data", readOnly: false },
        ...(more.policies ? [{ source: more.policies, target: "/etc/latchkey", readOnly: true }] : []),
      ],
      network: "host",
      onStdoutLine: (line) => {
        const parsed = readyLine.safeParse(parseJson(line));
        if (parsed.success) ready.resolve(parsed.data);
        more.onStdoutLine?.(line);
      },
    });
    const ended = container.exited.then(() => Promise.reject(new Error(container.output())));
    const readyOrEnded = Promise.race([ready.promise, ended]);
    // A test that expects the end does not await it.
    readyOrEnded.catch(() => undefined);
    return { ...container, ready: readyOrEnded };
  }

  test(`the image adds at most ${MAX_ADDED_BYTES / 1e6} MB to its base`, () => {
    expect(addedBytes(image)).toBeLessThanOrEqual(MAX_ADDED_BYTES);
  });

  test("a second build has the same layers, byte by byte", async () => {
    const again = await store?.build(ROOT, "latchkey-again");
    expect(again?.layers).toEqual(image.layers);
  });

  test("the image contains no sources, tests, compilers or development packages", async () => {
    const app = join(root, "app");
    const own = ["bin", "dist", "healthy.js", "latchkey.yaml", "node_modules", "package.json", "proto"];
    expect((await readdir(app)).sort()).toEqual(own.sort());
    const packages = await readdir(join(app, "node_modules"));
    expect(packages).toContain("fastify");
    const { devDependencies } = z
      .object({ devDependencies: z.record(z.string(), z.string()) })
      .parse(JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")));
    // A runtime dependency needs protobufjs.
    const development = Object.keys(devDependencies).filter((name) => name !== "protobufjs");
    expect(packages.filter((name) => development.includes(name))).toEqual([]);
    const sources = (await readdir(app, { recursive: true }))
      .filter((name) => !name.startsWith("node_modules/"))
      .filter((name) => /(?<!\.d)\.ts$|\.test\.|\.map$/.test(name));
    expect(sources).toEqual([]);
  });

  test("without secrets it does not start, and lists the missing ones", async () => {
    const container = await start({ GRPC_LISTEN: "0.0.0.0:9191" });
    expect(await container.exited).toBe(1);
    expect(container.output()).toMatch(/JWT_SECRET is missing/);
    expect(container.output()).toMatch(/GRPC_LISTEN would listen in clear text/);
  });

  test("without a writable root or a capability it decides a real Envoy's requests, is healthy, and stops by SIGTERM", async () => {
    const before = await listing(root);
    const container = await start({ ...secrets(), DRAIN_SECONDS: "0" });
    const { grpc, http, ops } = await container.ready;
    const upstream = await startUpstream();
    const envoy = await startEnvoy({ authzTarget: grpc, upstreamPort: upstream.port });
    const { api_key } = await registerKey(http);
    const ask = async (headers: Record<string, string>) =>
      (await fetch(`http://127.0.0.1:${envoy.port}/v1/chat/x`, { headers })).status;
    expect([await ask({}), await ask({ "x-api-key": api_key })]).toEqual([401, 200]);
    const [, ...health] = image.config.Healthcheck.Test;
    const check = async (address: string) =>
      (await container.exec(["/usr/bin/env", `OPS_LISTEN=${address}`, ...health])).code;
    expect([await check(ops), await check("127.0.0.1:1")]).toEqual([0, 1]);
    await Promise.all([envoy.stop(), upstream.stop()]);
    await container.signal(image.config.StopSignal);
    expect([await container.exited, container.output()]).toEqual([0, expect.stringContaining('"stopped"')]);
    expect(await listing(root)).toEqual(before);
  });

  test("SIGHUP reloads the policy that is mounted over the built-in one", async () => {
    const mounted = join(folder, "policy");
    await mkdir(mounted);
    const policy = join(mounted, "latchkey.yaml");
    const text = await readFile(join(ROOT, "latchkey.yaml"), "utf8");
    await writeFile(policy, text);
    const reloaded = Promise.withResolvers<void>();
    const container = await start(
      { ...secrets(), DRAIN_SECONDS: "0" },
      {
        policies: mounted,
        onStdoutLine: (line) => line.includes("a new policy is in force") && reloaded.resolve(),
      },
    );
    await container.ready;
    await writeFile(policy, `${text}\n# Changed.\n`);
    await container.signal("SIGHUP");
    await reloaded.promise;
    await container.signal("SIGTERM");
    expect(await container.exited).toBe(0);
  });
});

/** The size of everything after the layer of the base. */
function addedBytes({ layers }: Image): number {
  return layers.slice(1).reduce((sum, { size }) => sum + size, 0);
}

function secrets(): Readonly<Record<string, string>> {
  const names = ["JWT_SECRET", "KEY_HASH_SECRET", "ADMIN_TOKEN", "AUDIT_KEY"];
  return Object.fromEntries(names.map((name) => [name, newSecret()]));
}

/** Every file of the image outside its volume, with its size and time of change. */
async function listing(root: string): Promise<readonly string[]> {
  const files = await run("find", [root, "-xdev", "-type", "f", "-printf", "%P %s %T@\\n"]);
  return files.split("\n").sort();
}
