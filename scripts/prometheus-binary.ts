import { join } from "node:path";
import { debianTool } from "./debian.ts";
import { findOnPath } from "./tools.ts";

/** The programs of Prometheus: the server, and the checker of its rules. */
export interface PrometheusBinaries {
  readonly server: string;
  readonly promtool: string;
}

/** The `prometheus` and `promtool` on the PATH, or Debian's. Its error messages are for users. */
export async function prometheusBinaries(): Promise<PrometheusBinaries> {
  const [server, promtool] = await Promise.all([findOnPath("prometheus"), findOnPath("promtool")]);
  if (server !== undefined && promtool !== undefined) return { server, promtool };
  const program = "usr/bin/prometheus";
  const root = await debianTool({ name: "prometheus", packages: ["prometheus"], program });
  return { server: join(root, program), promtool: join(root, "usr/bin/promtool") };
}
