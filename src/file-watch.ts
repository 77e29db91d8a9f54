import { readFileSync, statSync, unwatchFile, watchFile } from "node:fs";

/** A changed file is noticed within this. */
const LOOK_EVERY_MS = 500;
/** A file that is still being written is left alone until it has not changed for this long, and longer the larger it is. */
const SETTLED_AFTER_MS = 750;
const SETTLED_AFTER_MS_PER_MB = 1000;
const MAX_SETTLED_AFTER_MS = 10_000;
/** No policy, key set or certificate is as large as this. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;

/**
 * Calls `changed` when files have changed and then stayed as they are for a moment: nobody then reads one that is half
 * written, or a pair of which one half is old. A link that leads elsewhere (as Kubernetes puts new secrets in place) is
 * a change as well. Returns the way to stop.
 */
export function watchFiles(paths: readonly string[], changed: () => void): () => void {
  const texts = () => JSON.stringify(paths.map(textOf));
  let settling: NodeJS.Timeout | undefined;
  const settle = (seen: string) => {
    clearTimeout(settling);
    settling = setTimeout(() => {
      const now = texts();
      if (now === seen) changed();
      else settle(now);
    }, settledAfterMs(seen.length));
  };
  const onStat = () => settle(texts());
  for (const path of paths) watchFile(path, { interval: LOOK_EVERY_MS }, onStat);
  return () => {
    for (const path of paths) unwatchFile(path, onStat);
    clearTimeout(settling);
  };
}

function settledAfterMs(characters: number): number {
  return Math.min(
    MAX_SETTLED_AFTER_MS,
    SETTLED_AFTER_MS + (characters / 1_000_000) * SETTLED_AFTER_MS_PER_MB,
  );
}

/**
 * The text of a regular file, or undefined if it cannot be read: the caller reports the error. A FIFO or a device, which
 * could block the process or never end, cannot be read.
 */
export function textOf(path: string): string | undefined {
  try {
    const stats = statSync(path);
    return stats.isFile() && stats.size <= MAX_FILE_BYTES ? readFileSync(path, "utf8") : undefined;
  } catch {
    return undefined;
  }
}
