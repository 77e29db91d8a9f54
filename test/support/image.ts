import { copyFile, cp, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { buildah } from "../../scripts/container-binaries.ts";
import { debianRoot, unpackRoot } from "../../scripts/debian-root.ts";
import { run } from "../../scripts/run.ts";
import { findOnPath } from "../../scripts/tools.ts";
import { removeAtEnd } from "./at-end.ts";

/** The base image of our Dockerfile. */
export const BASE = "node:24-slim";
const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";

const inspected = z.object({
  Docker: z.object({
    architecture: z.string(),
    config: z.object({
      User: z.string(),
      Env: z.array(z.string()),
      Entrypoint: z.array(z.string()),
      Cmd: z.array(z.string()),
      WorkingDir: z.string(),
      StopSignal: z.string(),
      Healthcheck: z.object({ Test: z.array(z.string()) }),
      Volumes: z.record(z.string(), z.unknown()),
    }),
    rootfs: z.object({ diff_ids: z.array(z.string()) }),
  }),
  Manifest: z.string(),
});
const manifest = z.object({ layers: z.array(z.object({ size: z.number(), digest: z.string() })) });

export interface Image {
  readonly config: z.infer<typeof inspected>["Docker"]["config"];
  /** The layers from the base to the last, uncompressed. */
  readonly layers: readonly { readonly size: number; readonly digest: string }[];
}

/** A folder of images, and buildah to work on it. */
export interface ImageStore {
  readonly version: string;
  /** Makes an image from a folder that is its root. */
  commit(root: string, tag: string): Promise<void>;
  /** Builds the Dockerfile of a folder. All its files get the time 0. */
  build(context: string, tag: string): Promise<Image>;
  /** The root of a new container of the image. */
  rootOf(tag: string): Promise<string>;
  remove(): Promise<void>;
}

/** An empty store of images. Needs root. */
export async function openImageStore(): Promise<ImageStore> {
  const { program, root, env } = await buildah();
  const folder = await mkdtemp(join(tmpdir(), "latchkey-images-"));
  removeAtEnd(folder);
  const registries = join(folder, "registries.conf");
  await writeFile(registries, 'unqualified-search-registries = ["docker.io"]\n');
  const trust = ["--signature-policy", join(root, "etc/containers/policy.json")];
  const call = (command: string, ...args: readonly string[]) =>
    run(program, ["--root", join(folder, "storage"), "--runroot", join(folder, "run"), command, ...args], {
      env: {
        ...env,
        STORAGE_DRIVER: "vfs",
        BUILDAH_ISOLATION: "chroot",
        CONTAINERS_REGISTRIES_CONF: registries,
      },
    });
  const container = async (image: string) => (await call("from", "--pull-never", ...trust, image)).trim();
  const inspect = async (tag: string): Promise<Image> => {
    const { Docker, Manifest } = inspected.parse(JSON.parse(await call("inspect", "--type", "image", tag)));
    const { layers } = manifest.parse(JSON.parse(Manifest));
    return { config: Docker.config, layers };
  };
  return {
    version: (await call("version")).match(/Version:\s+(\S+)/)?.[1] ?? "",
    async commit(from, tag) {
      const working = await container("scratch");
      await call("copy", "--quiet", working, from, "/");
      await call("commit", "--quiet", "--rm", "--format", "docker", ...trust, working, tag);
    },
    async build(context, tag) {
      const options = ["--pull=never", "--network", "host", "--format", "docker", "--timestamp", "0"];
      await call("build", ...options, ...trust, "--tag", tag, context);
      return inspect(tag);
    },
    rootOf: async (tag) => (await call("mount", await container(tag))).trim(),
    remove: async () => {
      await call("umount", "--all");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * A root with Debian, and with Node and npm in /usr/local as in the image node:24-slim, which only its own registry has. npm
 * reaches its registry as on this machine.
 */
export async function makeBase(folder: string): Promise<void> {
  await unpackRoot(await debianRoot("small", ["ca-certificates"]), folder);
  const local = (path: string) => join(folder, "usr/local", path);
  await copyFile(process.execPath, local("bin/node"));
  const npm = await findOnPath("npm");
  if (npm === undefined) throw new Error("npm is not on the PATH.");
  await cp(join(await realpath(npm), "../.."), local("lib/node_modules/npm"), {
    recursive: true,
    dereference: true,
  });
  await symlink("../lib/node_modules/npm/bin/npm-cli.js", local("bin/npm"));
  // The authorities of this machine include the one of a proxy in front of the registry.
  await copyFile(AUTHORITIES, join(folder, AUTHORITIES));
  const registry = (await run("npm", ["config", "get", "registry"])).trim();
  await writeFile(local("lib/node_modules/npm/npmrc"), `registry=${registry}\ncafile=${AUTHORITIES}\n`);
}
