import type { FileHandle } from "node:fs/promises";
import { open, readdir, rename, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ChainState } from "./chain.ts";
import { openChainState } from "./chain-state.ts";

/** Whoever is writing the end of a file has written it by then. */
const WRITTEN_WITHIN_MS = 200;

/** A file of audit lines. Of its methods one at a time may be under way. */
export interface AuditFile {
  /** Where the chain stood when it was last written; undefined where nothing tells. */
  readonly last: ChainState | undefined;
  /**
   * Appends whole lines, on the disk before it resolves, and remembers where the chain stands. Rejects when it cannot,
   * and then none of them is there. A file that somebody has put aside is not written to any more.
   */
  append(lines: readonly string[], state: ChainState): Promise<void>;
  /** Files that were put aside because they were full, the oldest first. */
  aside(): Promise<readonly AsideFile[]>;
  close(): Promise<void>;
}

export interface AsideFile {
  readonly path: string;
  /** When its last line was written, milliseconds. */
  readonly writtenMs: number;
}

export interface AuditFileOptions {
  readonly path: string;
  /** Names the chain of this process, across its restarts: several may write one file, but not one chain. */
  readonly chain?: string;
  /**
   * Makes the chain ours, by a lock of this name; undefined while somebody who lives has it, and then, or where nobody can
   * tell, a chain of one's own begins.
   */
  readonly claim: (path: string) => { release(): void } | undefined;
  readonly key: string;
  readonly nowMs: () => number;
  /** Names a new chain. */
  readonly newRandom: () => string;
  /** Beyond this a file is put aside under the time of its end. */
  readonly maxBytes: number;
  /** Makes the folder of the file, where it is missing. */
  readonly makeFolder: (path: string) => void;
  /** Hears that a file was put aside. */
  readonly rotated?: () => void;
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
      // Half a line of another process that has crashed must not become the beginning of ours.
      const lead = (await endsWithLine(handle, size)) ? "" : "\n";
      const text = Buffer.from(`${lead}${lines.join("\n")}\n`);
      try {
        await handle.appendFile(text);
        await handle.datasync();
      } catch (error) {
        await undoPartialWrite(handle, size, text).catch(() => undefined);
        throw error;
      }
      // The lines are there, whatever becomes of this: a start looks for those that were not remembered.
      await chain?.remember(state, size + text.length).catch(() => undefined);
      if (size + text.length >= maxBytes) {
        await rotateFile(handle, path, nowMs()).catch(() => undefined);
        options.rotated?.();
      }
    },
    aside: () => filesAside(path),
    async close() {
      await handle.close();
      claim?.release();
    },
  };
}

/** As {@link rotateFile} names them; what others have put aside under names of their own is theirs. */
const ASIDE = /^\.\d{4}-\d\d-\d\dT\d{6}\.\d{3}Z(?:-\d+)?(?:\.dropping)?$/;
/** What is being removed; after a crash it is still there. */
export const DROPPING = ".dropping";

async function filesAside(path: string): Promise<readonly AsideFile[]> {
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

/** Whoever else shall read the log is let in by a `chmod`, which later files follow. */
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

/** Whether the path names another file by now, or none. */
async function wasReplaced(handle: FileHandle, path: string): Promise<boolean> {
  const [ours, theirs] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)]);
  return ours.ino !== theirs?.ino || ours.dev !== theirs.dev;
}

async function endsWithLine(handle: FileHandle, size: number): Promise<boolean> {
  const last = Buffer.alloc(1);
  if (size > 0) await handle.read(last, 0, 1, size - 1);
  return size === 0 || last.toString() === "\n";
}

/** Under the time; never over a file that has been put aside before. */
async function rotateFile(handle: FileHandle, path: string, nowMs: number): Promise<void> {
  if (await wasReplaced(handle, path)) return;
  const aside = `${path}.${new Date(nowMs).toISOString().replaceAll(":", "")}`;
  for (let at = 0; ; at++) {
    const free = at === 0 ? aside : `${aside}-${at}`;
    if ((await stat(free).catch(() => undefined)) === undefined) return rename(path, free);
  }
}

/** What a crash has left of a line is cut off: nobody was told that it was written. */
async function truncatePartialLine(handle: FileHandle): Promise<void> {
  const whole = await wholeBytes(handle);
  if (whole === (await handle.stat()).size) return;
  await pause(WRITTEN_WITHIN_MS);
  // Another instance was writing it, if it has grown.
  if (whole === (await wholeBytes(handle))) await handle.truncate(whole);
}

const PORTION_BYTES = 64 * 1024;

/** Where the last whole line ends. */
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

/** Cuts off what has got into the file of a write that failed, if nobody has written after it. */
async function undoPartialWrite(handle: FileHandle, size: number, text: Buffer): Promise<void> {
  const written = Buffer.alloc((await handle.stat()).size - size);
  await handle.read(written, 0, written.length, size);
  if (text.subarray(0, written.length).equals(written)) await handle.truncate(size);
}
