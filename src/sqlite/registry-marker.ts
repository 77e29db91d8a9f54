import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const markerForm = z.object({
  /** Names the registry, in the database too. */
  registry: z.string().min(1),
  /** How often the database has been opened: an older copy of it was opened less often. */
  opens: z.int().min(1),
  /** Whether the database was seen to be another file, or none, while it was in use. */
  moved: z.boolean(),
});

/** What stands beside a database and says that there is one, and which. */
export type RegistryMarker = z.infer<typeof markerForm>;

const nameIn = (dataDir: string) => join(dataDir, "registry.json");

/** Undefined where there is none; throws where it cannot be read. */
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

/** On the disk, whole, before it returns. */
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
