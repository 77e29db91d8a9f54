import { join } from "node:path";
import { TOOLS } from "../../scripts/tools.ts";

/**
 * The environment of each Latchkey that a test starts: nothing of ours but the PATH.
 * Node keeps what it has compiled, so that the next process starts in half the time.
 */
export const CLEAN_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: process.env["PATH"] ?? "",
  NODE_COMPILE_CACHE: join(TOOLS, "compile-cache"),
};
