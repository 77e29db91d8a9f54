import { join } from "node:path";
import { debianTool, libraryPath } from "./debian.ts";
import { findOnPath, isExecutable } from "./tools.ts";

/** The programs of Redis. */
export interface RedisBinaries {
  readonly server: string;
  readonly cli: string;
  /** The path of their libraries, if they are not the system's. */
  readonly env: Readonly<Record<string, string>>;
}

/** The server, its tools (which contain the program itself), and the libraries that a minimal Debian lacks. */
const PACKAGES = ["redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1"];

/**
 * The `redis-server` and `redis-cli` on the PATH, or Debian's. `REDIS_SERVER_BINARY` replaces the server, so that the tests run
 * on another version or on Valkey. Its error messages are for users.
 */
export async function redisBinaries(): Promise<RedisBinaries> {
  const server = process.env["REDIS_SERVER_BINARY"];
  const binaries = await usualBinaries();
  if (!server) return binaries;
  if (!(await isExecutable(server)))
    throw new Error(`REDIS_SERVER_BINARY is ${server}, which is not an executable file.`);
  return { ...binaries, server };
}

async function usualBinaries(): Promise<RedisBinaries> {
  const [server, cli] = await Promise.all([findOnPath("redis-server"), findOnPath("redis-cli")]);
  if (server !== undefined && cli !== undefined) return { server, cli, env: {} };
  const root = await debianTool({ name: "redis", packages: PACKAGES, program: "usr/bin/redis-server" });
  const [keptServer, keptCli] = [join(root, "usr/bin/redis-server"), join(root, "usr/bin/redis-cli")];
  return { server: keptServer, cli: keptCli, env: { LD_LIBRARY_PATH: libraryPath(root) } };
}
