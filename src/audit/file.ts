import type { FileHandle } from "node:fs/promises";
import { open, readdir, rename, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ChainState } from "./chain.ts";
import { openChainState } from "./chain-state.ts";

/** Another process that is writing a line has finished it after this time. */
const WRITTEN_WITHIN_MS = 200;

/** A file of audit lines. Only one of its methods may run at a time. */
export interface AuditFile {
  /** The position of the chain after the last write, or undefined if it is unknown. */
  readonly last: ChainState | undefined;
  /**
   * Appends whole lines and stores the chain's position. The lines are on disk when it resolves. If it rejects, none of
   * them was written. A file that another process has rotated is not written any more.
   */
  append(lines: readonly string[], state: ChainState): Promise<void>;
  /** The rotated files, the oldest first. */
  rotatedFiles(): Promise<readonly RotatedFile[]>;
  close(): Promise<void>;
}

export interface RotatedFile {
  readonly path: string;
  /** The time of its last line, in milliseconds. */
  readonly writtenMs: number;
}

export interface AuditFileOptions {
  readonly path: string;
  /** The name of this process's chain across restarts. Several processes may write one file, but each needs its own chain. */
  readonly chain?: string;
  /**
   * Claims the chain with a lock of this name. Returns undefined if a running process holds it. A new chain begins then,
   * and also if the lock cannot be checked.
   */
  readonly claim: (path: string) => { release(): void } | undefined;
  readonly key: string;
  readonly nowMs: () => number;
  /** The name of a new chain. */
  readonly newRandom: () => string;
  /** A larger file is rotated. The rotated file is named by the time of the rotation. */
  readonly maxBytes: number;
  /** Creates the folder of the file if it is missing. */
  readonly makeFolder: (path: string) => void;
  /** Called after a rotation. */
  readonly onRotate?: () => void;
}

export async function openAuditFile(options: AuditFileOptions): Promise<AuditFile> {
  const { path, chain: name = path, key, nowMs, maxBytes } = options;
  options.makeFolder(dirname(path));
  const claim = options.claim(`${name}.lock`);
  let handle = await openFile(path, FILE_MODE);
  if (claim !== undefined) await truncatePartialLine(handle);
  const chain = claim && (await openChainState(path, name, key, options.newRandom));
  return {
    last: chain?.last,
    async append(lines, state) {
      if (await wasReplaced(handle, path)) {
        options.makeFolder(dirname(path));
        handle = await reopened(handle, path);
      }
      const { size } = await handle.stat();
      // A partial line of a crashed process must not become the beginning of our line.
      const lead = (await endsWithLine(handle, size)) ? "" : "\n";
      const text = Buffer.from(`${lead}${lines.join("\n")}\n`);
      try {
        await handle.appendFile(text);
        await handle.datasync();
      } catch (error) {
        await undoPartialWrite(handle, size, text).catch(() => undefined);
        throw error;
      }
      // Ignores a failure, because the lines are written. The next start finds lines beyond the stored state.
      await chain?.remember(state, size + text.length).catch(() => undefined);
      if (size + text.length >= maxBytes) {
        await rotateFile(handle, path, nowMs()).catch(() => undefined);
        options.onRotate?.();
      }
    },
    rotatedFiles: () => rotatedFiles(path),
    async close() {
      await handle.close();
      claim?.release();
    },
  };
}

/** The names that {@link rotateFile} gives. Files that other programs have renamed are not ours to remove. */
const ASIDE = /^\.\d{4}-\d\d-\d\dT\d{6}\.\d{3}Z(?:-\d+)?(?:\.dropping)?$/;
/** Marks a file whose removal has begun. A crash may leave it behind. */
export const DROPPING = ".dropping";

/** The files that were rotated away from this path, the oldest first. */
export async function rotatedFiles(path: string): Promise<readonly RotatedFile[]> {
  const [folder, name] = [dirname(path), basename(path)];
  const names = (await readdir(folder)).filter(
    (other) => other.startsWith(name) && ASIDE.test(other.slice(name.length)),
  );
  const files = await Promise.all(
    names.map(async (other) => {
      const { mtimeMs } = await stat(join(folder, other));
      return { path: join(folder, other), writtenMs: mtimeMs };
    }),
  );
  return files.sort((a, b) => a.writtenMs - b.writtenMs || (a.path < b.path ? -1 : 1));
}

/** An operator gives others access with `chmod`. New files take over the mode of the old one. */
const FILE_MODE = 0o600;

async function openFile(path: string, mode: number): Promise<FileHandle> {
  const isNew = (await stat(path).catch(() => undefined)) === undefined;
  const handle = await open(path, "a+", mode);
  if (isNew) await handle.chmod(mode);
  return handle;
}

async function reopened(handle: FileHandle, path: string): Promise<FileHandle> {
  const opened = await openFile(path, (await handle.stat()).mode & 0o777);
  await handle.close();
  return opened;
}

/** Whether the path now names another file, or none. */
async function wasReplaced(handle: FileHandle, path: string): Promise<boolean> {
  const [ours, theirs] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)]);
  return ours.ino !== theirs?.ino || ours.dev !== theirs.dev;
}

async function endsWithLine(handle: FileHandle, size: number): Promise<boolean> {
  const last = Buffer.alloc(1);
  if (size > 0) await handle.read(last, 0, 1, size - 1);
  return size === 0 || last.toString() === "\n";
}

/** Renames the file by the current time. Never overwrites an older rotated file. */
async function rotateFile(handle: FileHandle, path: string, nowMs: number): Promise<void> {
  if (await wasReplaced(handle, path)) return;
  const rotatedFiles = `${path}.${new Date(nowMs).toISOString().replaceAll(":", "")}`;
  for (let at = 0; ; at++) {
    const free = at === 0 ? rotatedFiles : `${rotatedFiles}-${at}`;
    if ((await stat(free).catch(() => undefined)) === undefined) return rename(path, free);
  }
}

/** Removes the partial line that a crash left. It was never acknowledged. */
async function truncatePartialLine(handle: FileHandle): Promise<void> {
  const whole = await wholeBytes(handle);
  if (whole === (await handle.stat()).size) return;
  await pause(WRITTEN_WITHIN_MS);
  // If the file has grown, another instance is still writing the line.
  if (whole === (await wholeBytes(handle))) await handle.truncate(whole);
}

const PORTION_BYTES = 64 * 1024;

/** The offset of the end of the last whole line. */
async function wholeBytes(handle: FileHandle): Promise<number> {
  let { size: end } = await handle.stat();
  const portion = Buffer.alloc(PORTION_BYTES);
  while (end > 0) {
    const from = Math.max(0, end - PORTION_BYTES);
    await handle.read(portion, 0, end - from, from);
    const at = portion.subarray(0, end - from).lastIndexOf("\n");
    if (at !== -1) return from + at + 1;
    end = from;
  }
  return 0;
}

/** Removes the bytes of a failed write, unless another process has written after them. */
async function undoPartialWrite(handle: FileHandle, size: number, text: Buffer): Promise<void> {
  const written = Buffer.alloc((await handle.stat()).size - size);
  await handle.read(written, 0, written.length, size);
  if (text.subarray(0, written.length).equals(written)) await handle.truncate(size);
}
