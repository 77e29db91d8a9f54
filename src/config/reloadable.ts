import { watchFiles } from "./watched-files.ts";

/** The result of a reload. */
export type Reload<Value> =
  | { readonly kind: "taken"; readonly value: Value }
  | { readonly kind: "unchanged" }
  /** The old value stays. */
  | { readonly kind: "refused"; readonly problems: readonly string[] };

/** The result of a reload that found a change. */
export type ChangedReload<Value> = Exclude<Reload<Value>, { readonly kind: "unchanged" }>;

/** What caused a reload: a changed file, a signal, or the call of an operator. */
export type ReloadCause =
  | { readonly kind: "file" | "signal" }
  | { readonly kind: "call"; readonly actor: string };

/** A value from files. Every user reads it at each use, so that a reload applies at once. */
export interface Reloadable<Value> {
  current(): Value;
  /** Reads the files now. Takes the new value if it is valid; otherwise the old one stays. */
  reload(cause?: ReloadCause): Promise<Reload<Value>>;
  /** Reloads whenever the files change, until `close`. */
  watch(): void;
  /** Called after every reload that found a change. Returns a function that ends the subscription. */
  onReload(listener: (reload: ChangedReload<Value>) => void): () => void;
  close(): void;
}

export interface ReloadableOptions<Value> {
  /** Empty: the value comes from no file and never changes. */
  readonly files: readonly string[];
  readonly first: Value;
  /** Reads the files. Reports `unchanged` if they hold what the current value was made of. */
  readonly read: (current: Value, cause: ReloadCause) => Reload<Value> | Promise<Reload<Value>>;
}

export function createReloadable<Value>({ files, first, read }: ReloadableOptions<Value>): Reloadable<Value> {
  let value = first;
  let stopWatching = () => {};
  let reloading: Promise<unknown> = Promise.resolve();
  const listeners = new Set<(reload: ChangedReload<Value>) => void>();
  const reloadOnce = async (cause: ReloadCause): Promise<Reload<Value>> => {
    const found = await read(value, cause);
    if (found.kind === "unchanged") return found;
    if (found.kind === "taken") value = found.value;
    for (const listener of listeners) listener(found);
    return found;
  };
  const reload = (cause: ReloadCause = { kind: "file" }): Promise<Reload<Value>> => {
    // Reloads run one after the other, so that the last file read wins.
    const result = reloading.then(() => reloadOnce(cause));
    reloading = result.catch(() => undefined);
    return result;
  };
  return {
    current: () => value,
    reload,
    watch() {
      if (files.length > 0) stopWatching = watchFiles(files, () => void reload());
    },
    onReload(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => stopWatching(),
  };
}
