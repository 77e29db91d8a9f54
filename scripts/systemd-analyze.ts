import { join } from "node:path";
import { debianTool, libraryPath } from "./debian.ts";
import { findOnPath } from "./tools.ts";

/** The checker of systemd units, and the path of its library if it is not the system's. */
export interface SystemdAnalyze {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The `systemd-analyze` on the PATH, or Debian's. It needs no running systemd. */
export async function systemdAnalyze(): Promise<SystemdAnalyze> {
  const onPath = await findOnPath("systemd-analyze");
  if (onPath !== undefined) return { program: onPath, env: {} };
  const packages = [
    "systemd",
    "libsystemd-shared",
    "libsystemd0",
    "libseccomp2",
    "libkmod2",
    "libfdisk1",
    "libcryptsetup12",
  ];
  const root = await debianTool({ name: "systemd", packages, program: "usr/bin/systemd-analyze" });
  return { program: join(root, "usr/bin/systemd-analyze"), env: { LD_LIBRARY_PATH: libraryPath(root) } };
}
