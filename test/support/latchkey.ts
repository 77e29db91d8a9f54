import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LatchkeyProcess } from "../../scripts/latchkey-process.ts";
import { startLatchkeyProcess } from "../../scripts/latchkey-process.ts";
import { removeAtEnd } from "./at-end.ts";

export interface TestedLatchkey extends LatchkeyProcess {
  /** Outlives `stop`, so that another one can go on with it; removed when the tests end. */
  readonly dataDir: string;
  /** Its working folder: `logs/api.log` is in it. */
  readonly cwd: string;
}

/** A socket for a gRPC door that is to be found again: a port that was free before a restart may be another's after it. */
export async function newSocket(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-socket-"));
  removeAtEnd(folder);
  return `unix:${join(folder, "grpc.sock")}`;
}

/** The real process on free ports of loopback, with nothing of our environment but the PATH. */
export async function startLatchkey(
  env: Readonly<Record<string, string>> = {},
<<<<<<< HEAD
  options: { readonly policy?: string; readonly onLogLine?: (line: string) => void } = {},
=======
  options: { readonly policy?: string; readonly args?: readonly string[] } = {},
>>>>>>> bulk
): Promise<TestedLatchkey> {
  const cwd = await mkdtemp(join(tmpdir(), "latchkey-test-"));
  removeAtEnd(cwd);
  if (options.policy !== undefined) await writeFile(join(cwd, "latchkey.yaml"), options.policy);
  const dataDir = env["DATA_DIR"] ?? join(cwd, "data");
  const anyPort = "127.0.0.1:0";
  const doors = { GRPC_LISTEN: anyPort, HTTP_LISTEN: anyPort, OPS_LISTEN: anyPort };
  // No load balancer has to notice that it goes.
  const own = { PATH: process.env["PATH"], DRAIN_SECONDS: "0", ...doors };
  const latchkey = await startLatchkeyProcess({
    cwd,
    ...(options.args !== undefined && { args: options.args }),
    env: { ...own, ...env, DATA_DIR: dataDir },
    ...(options.onLogLine && { onLogLine: options.onLogLine }),
  });
  return { ...latchkey, dataDir, cwd };
}
