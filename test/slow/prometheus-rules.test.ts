import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startChild } from "../../scripts/child.ts";
import { prometheusBinaries } from "../../scripts/prometheus-binary.ts";
import { readRules } from "../support/prometheus.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

async function promtool(...args: readonly string[]): Promise<string> {
  const child = await startChild((await prometheusBinaries()).promtool, args, { cwd: ROOT, env: {} });
  const code = await child.exited;
  if (code !== 0) throw new Error(`promtool ${args.join(" ")}: ${code}\n${child.output()}`);
  return child.output();
}

test("promtool accepts the rules", async () => {
  const rules = [...readRules("recording").groups, ...readRules("alerts").groups].flatMap(
    (group) => group.rules,
  );
  const said = await promtool(
    "check",
    "rules",
    "deploy/prometheus/recording.yaml",
    "deploy/prometheus/alerts.yaml",
  );
  const found = [...said.matchAll(/SUCCESS: (\d+) rules found/g)].map(([, count]) => Number(count));
  expect(found.reduce((sum, count) => sum + count, 0)).toBe(rules.length);
});

test("promtool accepts the configuration of the compose file", async () => {
  expect(await promtool("check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml")).toContain(
    "SUCCESS",
  );
});

test("each alert fires after its time and ends with its cause, and for nothing else", async () => {
  expect(await promtool("test", "rules", "test/prometheus/alerts.test.yaml")).toContain("SUCCESS");
});
