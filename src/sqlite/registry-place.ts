import type { Stats } from "node:fs";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { errorMessage } from "../core/error-message.ts";
import type { RegistryMarker } from "./registry-marker.ts";
import { readMarker, writeMarker } from "./registry-marker.ts";
import { text } from "./rows.ts";
import { inTransaction } from "./transaction.ts";

/** A registry consists of the database and its write-ahead log. */
const FILES = ["latchkey.db", "latchkey.db-wal"] as const;

/** The folder was used before, but its registry is missing or incomplete now. */
export class RegistryLost extends Error {
  override readonly name = "RegistryLost";

  constructor(dataDir: string, what: string) {
    super(
      `DATA_DIR ${dataDir} was used before, and its registry is lost: ${what}. Put back what was there (latchkey.db and ` +
        "latchkey.db-wal belong together), or accept the present contents: `latchkey serve --accept-empty-registry`; " +
        "revoked keys may then be valid again",
    );
  }
}

/** The files of the open database, where the next start looks for the registry. */
export interface RegistryPlace {
  /** Throws if one of the files was removed or replaced, because writes would be lost. */
  check(): void;
  /** Records in the database that it is complete. It must be closed immediately afterwards. */
  leave(): void;
}

/** The state of the folder before SQLite creates missing files. */
export interface FoundRegistry {
  readonly marker: RegistryMarker;
  /** Whether the write-ahead log existed. */
  readonly hasLog: boolean;
}

/** Undefined for a folder that was not used before. Throws {@link RegistryLost} if a file is missing. */
export function findRegistry(dataDir: string): FoundRegistry | undefined {
  const marker = markerOf(dataDir);
  if (marker === undefined) return undefined;
  const [database, log] = FILES.map((name) => statusOf(join(dataDir, name))?.size);
  if (database === undefined) throw new RegistryLost(dataDir, "latchkey.db is missing");
  if (database === 0) throw new RegistryLost(dataDir, "latchkey.db is empty");
  if (marker.moved)
    throw new RegistryLost(dataDir, "latchkey.db was removed or replaced while it was in use");
  return { marker, hasLog: log !== undefined && log > 0 };
}

/**
 * Identifies the registry, and counts how often it was opened. Throws {@link RegistryLost} if the database is not the one of
 * the marker, or is incomplete.
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
    // A crash can happen between the two writes below.
    if (opens !== marker.opens && opens !== marker.opens + 1)
      throw new RegistryLost(dataDir, "latchkey.db is another copy than the one that was used last");
    // A process that stops in order merges the log into the database and records that. A killed process leaves the log.
    if (!hasLog && closed !== opens)
      throw new RegistryLost(dataDir, "latchkey.db-wal, which a killed process left, is missing or empty");
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

/** The registry's identity, as stored in the database. */
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
    /** Must be the last write before the database is closed. */
    closed: ({ opens }: RegistryName) => void set.run("registry_closed", String(opens)),
  };
}

type RegistryName = Omit<RegistryMarker, "moved">;

function watchPlace(dataDir: string, name: RegistryName) {
  const ours = FILES.map((file) => ({ path: join(dataDir, file), found: statusOf(join(dataDir, file)) }));
  let moved = false;
  return {
    isMoved: () => moved,
    check() {
      const missing = ours.find(({ path, found }) => !isSame(found, statusOf(path)));
      if ((missing !== undefined) !== moved) {
        moved = missing !== undefined;
        mark(dataDir, { ...name, moved });
      }
      if (missing !== undefined) throw new Error(`${missing.path} was removed or replaced`);
    },
  };
}

/** The folder may have been removed, or belong to another registry by now. */
function mark(dataDir: string, marker: RegistryMarker): void {
  try {
    if (readMarker(dataDir)?.registry === marker.registry) writeMarker(dataDir, marker);
  } catch {
    // The next start detects the loss itself, as far as possible.
  }
}

function markerOf(dataDir: string): RegistryMarker | undefined {
  try {
    return readMarker(dataDir);
  } catch (error) {
    throw new RegistryLost(dataDir, `registry.json, its marker, cannot be read (${errorMessage(error)})`);
  }
}

function statusOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

/** Neither file is empty while it is in use. */
function isSame(before: Stats | undefined, now: Stats | undefined): boolean {
  return now !== undefined && now.size > 0 && before?.ino === now.ino && before.dev === now.dev;
}
