import { join } from "node:path";
import { debianTool } from "./debian.ts";

/** The model checker, and the C compiler for the program that it writes. Each is a command with its first arguments. */
export interface SpinTools {
  readonly spin: readonly string[];
  readonly compiler: readonly string[];
}

/** Debian's Spin and Tiny C Compiler. Its error messages are for users. */
export async function spinTools(): Promise<SpinTools> {
  const root = await debianTool({
    name: "spin",
    packages: ["spin", "tcc", "libtcc-dev", "libc6-dev", "linux-libc-dev"],
    program: "usr/bin/spin",
  });
  const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  const libraries = join(root, "usr/lib", triplet);
  const headers = join(root, "usr/include");
  const tcc = join(root, "usr/bin/tcc");
  return {
    spin: [join(root, "usr/bin/spin"), `-P${tcc} -E -P -xc`],
    compiler: [
      tcc,
      `-B${join(libraries, "tcc")}`,
      `-I${headers}`,
      `-I${join(headers, triplet)}`,
      `-L${libraries}`,
    ],
  };
}
