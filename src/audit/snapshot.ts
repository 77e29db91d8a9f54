import type { FileHandle } from "node:fs/promises";
import { constants, open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { errorMessage } from "../core/error-message.ts";
import { rotatedFiles } from "./file.ts";

/** An open file of a log, up to the size that it had when all of them were open. */
export interface SnapshotFile {
  /** Without its folder. */
  readonly name: string;
  readonly handle: FileHandle;
  readonly size: number;
}

/** A pipe without a writer must not block: all threads of the process share the threads that open files. */
const READ = constants.O_RDONLY | constants.O_NONBLOCK;
const ATTEMPTS = 20;
const RETRY_AFTER_MS = 50;

/**
 * Opens every file of a log at one moment, although the log may be rotated and old files dropped meanwhile. The oldest file
 * comes first. Rejects if the files cannot be read, or do not stay the same for long enough.
 */
export async function openSnapshot(path: string): Promise<readonly SnapshotFile[]> {
  let problem = "the files of the log changed whenever they were opened: try again";
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      const opened = await openOnce(path);
      if (opened !== undefined) return opened;
    } catch (error) {
      if (!isMissing(error)) throw error;
      problem = errorMessage(error);
    }
    await pause(RETRY_AFTER_MS);
  }
  throw new Error(problem);
}

/** Undefined if the files changed meanwhile. */
async function openOnce(path: string): Promise<readonly SnapshotFile[] | undefined> {
  const before = await identities(path);
  const opened = await openAll(before.map((file) => file.path));
  const after = await identities(path).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  // A file that was rotated in between would be read twice or not at all.
  if (isSame(before, after)) return opened;
  await closeAll(opened);
  return undefined;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

export async function closeAll(files: readonly SnapshotFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}

interface Identity {
  readonly path: string;
  readonly inode: number;
}

async function identities(path: string): Promise<readonly Identity[]> {
  const paths = [...(await rotatedFiles(path)).map((file) => file.path), path];
  const found = await Promise.all(
    paths.map(async (path) => ({ path, inode: (await stat(path).catch(() => undefined))?.ino ?? -1 })),
  );
  return found.filter(({ inode }) => inode !== -1);
}

function isSame(before: readonly Identity[], after: readonly Identity[]): boolean {
  return (
    before.length === after.length &&
    before.every(({ path, inode }, at) => after[at]?.path === path && after[at]?.inode === inode)
  );
}

/** Opens all files, or none. */
async function openAll(paths: readonly string[]): Promise<readonly SnapshotFile[]> {
  const opened: SnapshotFile[] = [];
  try {
    for (const path of paths) opened.push({ name: basename(path), handle: await open(path, READ), size: 0 });
    return await Promise.all(opened.map(withSize));
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

async function withSize(file: SnapshotFile): Promise<SnapshotFile> {
  const found = await file.handle.stat();
  if (!found.isFile()) throw new Error(`${file.name} is not a regular file`);
  return { ...file, size: found.size };
}
