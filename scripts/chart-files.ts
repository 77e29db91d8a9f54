import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);

/** What the chart carries of files that live elsewhere, for Helm reads nothing outside of it: a copy, and its source. */
export const CHART_FILES: Readonly<Record<string, string>> = {
  "deploy/helm/latchkey/files/sidecar.yaml": "envoy/sidecar.yaml",
  "deploy/helm/latchkey/files/alerts.yaml": "deploy/prometheus/alerts.yaml",
  "deploy/helm/latchkey/files/recording.yaml": "deploy/prometheus/recording.yaml",
  "deploy/helm/latchkey/files/latchkey.json": "deploy/grafana/latchkey.json",
};

/** Brings the copies up to date: `npm run chart`. A test says when that is needed. */
function copyAll(): void {
  for (const [copy, source] of Object.entries(CHART_FILES)) {
    writeFileSync(new URL(copy, ROOT), readFileSync(new URL(source, ROOT)));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) copyAll();
