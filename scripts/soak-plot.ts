import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SoakFigures } from "./soak-picture.ts";
import { soakPicture } from "./soak-picture.ts";

export const SOAK_FOLDER = fileURLToPath(new URL("../docs/soak/", import.meta.url));
const NAMES: Readonly<Record<string, string>> = {
  "soak-embedded.csv": "embedded store",
  "soak-redis.csv": "Redis",
  "soak-cluster.csv": "Redis Cluster",
};

/** The picture of the figures in docs/soak/. */
export function pictureOfDocuments(): string {
  const present = new Set(readdirSync(SOAK_FOLDER));
  return soakPicture(
    Object.entries(NAMES)
      .filter(([file]) => present.has(file))
      .map(([file, name]) => ({ name, rows: rowsOf(readFileSync(join(SOAK_FOLDER, file), "utf8")) })),
  );
}

function rowsOf(csv: string): SoakFigures["rows"] {
  const [heading = "", ...lines] = csv.trim().split("\n");
  const columns = heading.split(",");
  return lines.map((line) =>
    Object.fromEntries(line.split(",").map((value, at) => [columns[at], Number(value)])),
  );
}

/** `node scripts/soak-plot.ts [.test-results/soak-embedded.csv …]`: copies these files to docs/soak/, and plots them. */
if (import.meta.main) {
  mkdirSync(SOAK_FOLDER, { recursive: true });
  for (const file of process.argv.slice(2)) copyFileSync(file, join(SOAK_FOLDER, basename(file)));
  writeFileSync(join(SOAK_FOLDER, "figures.svg"), pictureOfDocuments());
}
