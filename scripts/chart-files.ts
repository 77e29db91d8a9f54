import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);

/** The copies of other files in the chart, with their sources. Helm cannot read files outside the chart. */
export const CHART_FILES: Readonly<Record<string, string>> = {
  "deploy/helm/latchkey/files/sidecar.yaml": "envoy/sidecar.yaml",
  "deploy/helm/latchkey/files/alerts.yaml": "deploy/prometheus/alerts.yaml",
  "deploy/helm/latchkey/files/recording.yaml": "deploy/prometheus/recording.yaml",
  "deploy/helm/latchkey/files/latchkey.json": "deploy/grafana/latchkey.json",
};

/** Updates the copies (`npm run chart`). A test fails if a copy is outdated. */
function copyAll(): void {
  for (const [copy, source] of Object.entries(CHART_FILES)) {
    writeFileSync(new URL(copy, ROOT), readFileSync(new URL(source, ROOT)));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) copyAll();
