import { chmod, lstat } from "node:fs/promises";
import { removeStaleSocket } from "./stale-socket.ts";

/** A removed file is noticed within this. */
const LOOK_EVERY_MS = 500;

export interface SocketFile {
  /** Whether callers find the listener by it. */
  isPresent(): boolean;
  close(): void;
}

export interface SocketFilePorts {
  /** Opens the listener at the same path once more. Rejects when it cannot. */
  readonly listenAgain: () => Promise<void>;
  /** Hears when the file is gone, or another one is in its place, and when it is there again. */
  readonly changed: (isPresent: boolean) => void;
}

/**
 * Keeps the file of a Unix socket that is listened on. A listener whose file was removed or replaced hears of nothing, and
 * no caller finds it: it is opened once more. A file that is no socket, or that another process listens on, is left alone.
 */
export async function watchSocketFile(path: string, ports: SocketFilePorts): Promise<SocketFile> {
  let own = await takeOver(path);
  let isPresent = true;
  const tell = (next: boolean) => {
    if (next === isPresent) return;
    isPresent = next;
    ports.changed(next);
  };
  const look = async () => {
    if ((await identityOf(path)) === own) return tell(true);
    tell(false);
    await removeStaleSocket(path);
    if ((await identityOf(path)) !== undefined) return;
    await ports.listenAgain();
    own = await takeOver(path);
    tell(true);
  };
  let isLooking = false;
  const looking = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    look()
      .catch(() => tell(false)) // A folder that is gone, or a disk that is read-only: the next look tries again.
      .finally(() => {
        isLooking = false;
      });
  }, LOOK_EVERY_MS);
  looking.unref();
  return { isPresent: () => isPresent, close: () => clearInterval(looking) };
}

/** For the owner and its group alone. Gives what the file is known by. */
async function takeOver(path: string): Promise<string | undefined> {
  await chmod(path, 0o660);
  return identityOf(path);
}

/** A file's number is not given to another file while its socket is open. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await lstat(path).catch(() => undefined);
  return found && `${found.dev} ${found.ino}`;
}
