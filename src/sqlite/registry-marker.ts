import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const markerForm = z.object({
  /** The id of the registry, which is also in the database. */
  registry: z.string().min(1),
  /** How often the database was opened. An older copy has a lower number. */
  opens: z.int().min(1),
  /** Whether the database file was removed or replaced while it was in use. */
  moved: z.boolean(),
});

/** A file beside the database that records that the database exists, and which one it is. */
export type RegistryMarker = z.infer<typeof markerForm>;

const nameIn = (dataDir: string) => join(dataDir, "registry.json");

/** Undefined if there is no marker. Throws if it cannot be read. */
export function readMarker(dataDir: string): RegistryMarker | undefined {
  let text: string;
  try {
    text = readFileSync(nameIn(dataDir), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  return markerForm.parse(JSON.parse(text));
}

/** Writes atomically. The marker is on disk before this returns. */
export function writeMarker(dataDir: string, marker: RegistryMarker): void {
  const path = nameIn(dataDir);
  const file = openSync(`${path}.new`, "w", 0o600);
  try {
    writeSync(file, `${JSON.stringify(marker)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  const folder = openSync(dataDir, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
