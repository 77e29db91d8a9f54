import { join } from "node:path";
import { debianTool } from "./debian.ts";

/**
 * The path of the library that gives a process another wall clock (`LD_PRELOAD`), in its variant for several threads. Its
 * error messages are for users.
 */
export async function faketimeLibrary(): Promise<string> {
  const root = await debianTool({
    name: "faketime",
    packages: ["faketime", "libfaketime"],
    program: "usr/bin/faketime",
  });
  const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  return join(root, "usr/lib", triplet, "faketime/libfaketimeMT.so.1");
}
