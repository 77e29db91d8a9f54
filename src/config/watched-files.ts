import { unwatchFile, watchFile } from "node:fs";
import { textOf } from "./text-file.ts";

/** A changed file is noticed within this. */
const LOOK_EVERY_MS = 500;
/** A file that is still being written is left alone until it has not changed for this long, and longer the larger it is. */
const SETTLED_AFTER_MS = 750;
const SETTLED_AFTER_MS_PER_MB = 1000;
const MAX_SETTLED_AFTER_MS = 10_000;

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
