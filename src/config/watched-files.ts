import { unwatchFile, watchFile } from "node:fs";
import { textOf } from "./text-file.ts";

/** A changed file is noticed within this time. */
const POLL_EVERY_MS = 500;
/** A file counts as completely written when it has not changed for this time. Large files get more time. */
const SETTLED_AFTER_MS = 750;
const SETTLED_AFTER_MS_PER_MB = 1000;
const MAX_SETTLED_AFTER_MS = 10_000;

/**
 * Calls `onChange` when files have changed and then not changed for a moment, so that the caller reads no half-written file and
 * no pair with one old half. A symbolic link with another target is a change too, because Kubernetes replaces secrets that
 * way. Returns a function that stops the watch.
 */
export function watchFiles(paths: readonly string[], onChange: () => void): () => void {
  const texts = () => JSON.stringify(paths.map(textOf));
  let settling: NodeJS.Timeout | undefined;
  const settle = (seen: string) => {
    clearTimeout(settling);
    settling = setTimeout(() => {
      const now = texts();
      if (now === seen) onChange();
      else settle(now);
    }, settledAfterMs(seen.length));
  };
  const onStat = () => settle(texts());
  for (const path of paths) watchFile(path, { interval: POLL_EVERY_MS }, onStat);
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
