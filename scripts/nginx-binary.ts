import { join } from "node:path";
import { debianTool } from "./debian.ts";
import { findOnPath } from "./tools.ts";

/** The `nginx` on the PATH, or Debian's. Its error messages are for users. */
export async function nginxBinary(): Promise<string> {
  const onPath = await findOnPath("nginx");
  if (onPath !== undefined) return onPath;
  const program = "usr/sbin/nginx";
  return join(await debianTool({ name: "nginx", packages: ["nginx"], program }), program);
}
