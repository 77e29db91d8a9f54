import type { openOffline } from "../server/offline.ts";
import { EXIT } from "./exit-codes.ts";
import type { Io } from "./io.ts";

type Opened = Extract<Awaited<ReturnType<typeof openOffline>>, { ok: true }>;

/**
 * Runs a command on the store of the settings, without an instance. An embedded store must not be in use.
 * @returns the exit code: `failed`, with the problems printed, if the store cannot be opened
 */
export async function withOfflineStore(
  io: Io,
  run: (registry: Opened["registry"]) => Promise<void>,
): Promise<number> {
  const { openOffline } = await import("../server/offline.ts");
  const opened = await openOffline(io.environment);
  if (!opened.ok) {
    io.printError(opened.problems.join("\n"));
    io.printError("if an instance is running, set LATCHKEY_URL to its URL");
    return EXIT.failed;
  }
  try {
    await run(opened.registry);
    return EXIT.done;
  } finally {
    await opened.close();
  }
}
