import { readFileSync, unwatchFile, watchFile } from "node:fs";

/** A changed file is noticed within this. */
const LOOK_EVERY_MS = 500;
/** Files that somebody is still writing are left alone until they have not changed for this long. */
const SETTLED_AFTER_MS = 250;

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
    }, SETTLED_AFTER_MS);
  };
  const onStat = () => settle(texts());
  for (const path of paths) watchFile(path, { interval: LOOK_EVERY_MS }, onStat);
  return () => {
    for (const path of paths) unwatchFile(path, onStat);
    clearTimeout(settling);
  };
}

/** What stands in a file; undefined when it cannot be read. Why does not matter: whoever needs it says that it cannot. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
