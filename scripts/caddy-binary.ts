import { join } from "node:path";
import { debianTool } from "./debian.ts";
import { findOnPath } from "./tools.ts";

/** The `caddy` on the PATH, or Debian's. Its error messages are for users. */
export async function caddyBinary(): Promise<string> {
  const onPath = await findOnPath("caddy");
  if (onPath !== undefined) return onPath;
  const program = "usr/bin/caddy";
  return join(await debianTool({ name: "caddy", packages: ["caddy"], program }), program);
}
