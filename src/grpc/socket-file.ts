import { chmod, lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";

const CHECK_EVERY_MS = 500;

export interface SocketFile {
  /** Whether clients can connect through the file. */
  isPresent(): boolean;
  close(): void;
}

export interface SocketFileDeps {
  /** Opens the listener at the same path again. Rejects if it cannot. */
  readonly listenAgain: () => Promise<void>;
  /** Called when the file is missing or replaced, and when it is present again. */
  readonly onPresence: (isPresent: boolean) => void;
}

/**
 * Keeps the file of an open Unix socket in place. A listener is not notified when its file is removed or replaced, and clients
 * can no longer connect: the listener is opened again. A file that is not a socket, or on which another process listens,
 * is not touched.
 */
export async function watchSocketFile(path: string, deps: SocketFileDeps): Promise<SocketFile> {
  let own = await takeOver(path);
  let isPresent = true;
  const setPresence = (next: boolean) => {
    if (next === isPresent) return;
    isPresent = next;
    deps.onPresence(next);
  };
  const check = async () => {
    if ((await identityOf(path)) === own) return setPresence(true);
    setPresence(false);
    await removeStaleSocket(path);
    if ((await identityOf(path)) !== undefined) return;
    await deps.listenAgain();
    own = await takeOver(path);
    setPresence(true);
  };
  let isChecking = false;
  const timer = setInterval(() => {
    if (isChecking) return;
    isChecking = true;
    check()
      .catch(() => setPresence(false)) // The folder is missing or the disk is read-only: the next check tries again.
      .finally(() => {
        isChecking = false;
      });
  }, CHECK_EVERY_MS);
  timer.unref();
  return { isPresent: () => isPresent, close: () => clearInterval(timer) };
}

/** Gives access to the owner and its group only. Returns the identity of the file. */
async function takeOver(path: string): Promise<string | undefined> {
  await chmod(path, 0o660);
  return identityOf(path);
}

/** No other file gets the inode while the socket is open. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await lstat(path).catch(() => undefined);
  return found && `${found.dev} ${found.ino}`;
}

/** Removes the socket of a killed process. A socket on which a process listens, and any other file, is not touched. */
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
    // Only ECONNREFUSED proves that no process listens. A socket that we may not open can belong to another process.
    probe.on("error", (error) => resolve(!("code" in error && error.code === "ECONNREFUSED")));
  });
}
