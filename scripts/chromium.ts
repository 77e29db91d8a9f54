import { startChild } from "./child.ts";
import { findOnPath } from "./tools.ts";

/** The path of Chromium. Installs Debian's package if it is missing, because it needs a hundred libraries of the system. */
export async function chromiumBinary(): Promise<string> {
  const found = (await findOnPath("chromium")) ?? (await findOnPath("chromium-browser"));
  if (found !== undefined) return found;
  process.stderr.write("Installing Debian's chromium, once.\n");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update"], ["install", "-y", "--no-install-recommends", "chromium"]]) {
    const child = await startChild("apt-get", ["-qq", ...args], { env });
    if ((await child.exited) !== 0 && args[0] === "install")
      throw new Error("Debian's chromium could not be installed: install it (apt-get install chromium).");
  }
  const installed = await findOnPath("chromium");
  if (installed === undefined) throw new Error("chromium was installed, but it is not on the PATH.");
  return installed;
}
