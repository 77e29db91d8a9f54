import type { Stats } from "node:fs";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { errorMessage } from "../core/error-message.ts";
import type { RegistryMarker } from "./registry-marker.ts";
import { readMarker, writeMarker } from "./registry-marker.ts";
import { text } from "./rows.ts";
import { inTransaction } from "./transaction.ts";

/** The database and what has not been taken from its log into it yet: a registry is both. */
const FILES = ["latchkey.db", "latchkey.db-wal"] as const;

/** The folder was used before, and what is in it now is not that registry, or not all of it. */
export class RegistryLost extends Error {
  override readonly name = "RegistryLost";

  constructor(dataDir: string, what: string) {
    super(
      `DATA_DIR ${dataDir} was used before, and its registry is lost: ${what}. Put back what was there (latchkey.db and ` +
        "latchkey.db-wal belong together), or go on with what is there now: `latchkey serve --accept-empty-registry`; " +
        "keys that were revoked may then be good again",
    );
  }
}

/** The files of a database that is open: the place where the next start looks for the registry. */
export interface RegistryPlace {
  /** Throws when another file, or none, is in the place of one of ours. What is written then would be lost. */
  check(): void;
  /** Says in the database that nothing comes after this; it is closed right then. */
  leave(): void;
}

/** What was in the folder before SQLite made anew what was not. */
export interface FoundRegistry {
  readonly marker: RegistryMarker;
  /** Whether the log of changes was there. */
  readonly hasLog: boolean;
}

/** Undefined in a folder that was not used before. Throws {@link RegistryLost} where something is missing. */
export function findRegistry(dataDir: string): FoundRegistry | undefined {
  const marker = markerOf(dataDir);
  if (marker === undefined) return undefined;
  const [database, log] = FILES.map((name) => lookAt(join(dataDir, name))?.size);
  if (database === undefined) throw new RegistryLost(dataDir, "latchkey.db is missing");
  if (database === 0) throw new RegistryLost(dataDir, "latchkey.db is empty");
  if (marker.moved)
    throw new RegistryLost(dataDir, "latchkey.db was removed or replaced while it was in use");
  return { marker, hasLog: log !== undefined && log > 0 };
}

/**
 * Takes the place: names the registry, and counts that it was opened. Throws {@link RegistryLost} when the database is not
 * the one that was found, or not all of it.
 */
export function takePlace(
  sqlite: DatabaseSync,
  dataDir: string,
  found: FoundRegistry | undefined,
): RegistryPlace {
  const state = createState(sqlite);
  const { registry, opens, closed } = state.read();
  if (found !== undefined) {
    const { marker, hasLog } = found;
    if (registry !== marker.registry) throw new RegistryLost(dataDir, "latchkey.db is of another registry");
    // A crash may have come between the two that are written below.
    if (opens !== marker.opens && opens !== marker.opens + 1)
      throw new RegistryLost(dataDir, "latchkey.db is another copy than the one that was used last");
    // A process that ends well takes its log into the database, and says so there; one that was killed leaves it.
    if (!hasLog && closed !== opens)
      throw new RegistryLost(
        dataDir,
        "latchkey.db-wal, which a killed process has left, is missing or empty",
      );
  }
  const name = { registry: registry ?? crypto.randomUUID(), opens: opens + 1 };
  state.opened(name);
  writeMarker(dataDir, { ...name, moved: false });
  const { check, isMoved } = watchPlace(dataDir, name);
  return {
    check,
    leave() {
      if (!isMoved()) state.closed(name);
    },
  };
}

/** What the database itself says of its registry. */
function createState(sqlite: DatabaseSync) {
  const get = sqlite.prepare("SELECT value FROM shared_state WHERE name = ?");
  const set = sqlite.prepare(
    "INSERT INTO shared_state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
  );
  const read = (name: string) => {
    const row = get.get(name);
    return row && text(row, "value");
  };
  return {
    read: () => ({
      registry: read("registry"),
      opens: Number(read("registry_opens") ?? 0),
      closed: Number(read("registry_closed") ?? 0),
    }),
    opened({ registry, opens }: RegistryName) {
      inTransaction(sqlite, () => {
        set.run("registry", registry);
        set.run("registry_opens", String(opens));
      });
    },
    /** The last that is written in the time for which it is open. */
    closed: ({ opens }: RegistryName) => void set.run("registry_closed", String(opens)),
  };
}

type RegistryName = Omit<RegistryMarker, "moved">;

function watchPlace(dataDir: string, name: RegistryName) {
  const ours = FILES.map((file) => ({ path: join(dataDir, file), found: lookAt(join(dataDir, file)) }));
  let moved = false;
  return {
    isMoved: () => moved,
    check() {
      const gone = ours.find(({ path, found }) => !isSame(found, lookAt(path)));
      if ((gone !== undefined) !== moved) {
        moved = gone !== undefined;
        mark(dataDir, { ...name, moved });
      }
      if (gone !== undefined) throw new Error(`${gone.path} was removed or replaced`);
    },
  };
}

/** The folder may be gone, or be another one's by now. */
function mark(dataDir: string, marker: RegistryMarker): void {
  try {
    if (readMarker(dataDir)?.registry === marker.registry) writeMarker(dataDir, marker);
  } catch {
    // The next start finds out by itself, as far as that can be.
  }
}

function markerOf(dataDir: string): RegistryMarker | undefined {
  try {
    return readMarker(dataDir);
  } catch (error) {
    const why = errorMessage(error);
    throw new RegistryLost(dataDir, `registry.json, which tells of it, cannot be read (${why})`);
  }
}

function lookAt(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

/** Neither file is ever empty while it is in use. */
function isSame(before: Stats | undefined, now: Stats | undefined): boolean {
  return now !== undefined && now.size > 0 && before?.ino === now.ino && before.dev === now.dev;
}
