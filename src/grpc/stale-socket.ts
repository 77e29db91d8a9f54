import { lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";

/** Removes the socket that a killed process has left at a path. One that somebody listens on, or any other file, stays. */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() && !(await isListening(path))) await unlink(path);
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.on("connect", () => {
      probe.destroy();
      resolve(true);
    });
    // Only a refused connection proves that nobody is there; one that we may not open might be somebody's.
    probe.on("error", (error) => resolve(!("code" in error && error.code === "ECONNREFUSED")));
  });
}
