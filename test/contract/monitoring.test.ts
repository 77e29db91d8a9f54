import { readFileSync } from "node:fs";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { createInstruments } from "../../src/telemetry/metrics/instruments.ts";
import { readCompose } from "../support/compose.ts";
import { readDashboard, readRules } from "../support/prometheus.ts";

const alerts = readRules("alerts").groups.flatMap(({ rules }) => rules);
const recorded = readRules("recording").groups.flatMap(({ rules }) => rules);
const page = readFileSync(new URL("../../docs/operations/alerts.md", import.meta.url), "utf8");
const alertNames = alerts.map(({ alert }) => alert ?? "");

test("docs/operations/alerts.md has a section for every alert, in the order of the rules, and no other", () => {
  expect([...page.matchAll(/^## (\w+)$/gm)].map(([, name]) => name)).toEqual(alertNames);
  for (const part of page.split("\n## ").slice(1)) expect(part).toMatch(/\*\*Means\*\*[\s\S]*\*\*Do\*\*/);
});

test("every alert has a severity, describes the problem, and links to its section", () => {
  for (const { alert = "", labels, annotations } of alerts) {
    expect(["page", "ticket"]).toContain(labels?.["severity"]);
    expect(Object.keys(annotations ?? {})).toEqual(["summary", "description", "runbook"]);
    expect(annotations?.["runbook"]).toBe(`docs/operations/alerts.md#${alert.toLowerCase()}`);
  }
});

test("promtool's test file has a time at which each alert fires", () => {
  const text = readFileSync(new URL("../prometheus/alerts.test.yaml", import.meta.url), "utf8");
  const tested = [...text.matchAll(/labels: '\{alertname="(\w+)"/g)].map(([, name]) => name);
  expect([...new Set(tested)].sort()).toEqual([...alertNames].sort());
});

test("dashboard and rules use only metrics that exist", () => {
  const known = new Set(recorded.map(({ record }) => record));
  for (const metric of Object.values(createInstruments(new Registry()))) {
    // prom-client's types do not declare these members.
    const { name }: { name: string } = Object(metric);
    for (const suffix of ["", "_bucket", "_count", "_sum"]) known.add(`${name}${suffix}`);
  }
  const { panels, annotations } = readDashboard();
  const asked = [
    ...panels.flatMap(({ targets }) => targets),
    ...annotations.list,
    ...alerts,
    ...recorded,
  ].flatMap(({ expr }) => [...expr.matchAll(/latchkey[_:][\w:]+/g)].map(([name]) => name));
  expect(asked.length).toBeGreaterThan(60);
  expect(asked.filter((name) => !known.has(name))).toEqual([]);
});

test("the dashboard has a row for each topic, and its panels do not overlap and have descriptions", () => {
  const { panels } = readDashboard();
  const rows = panels.filter(({ type }) => type === "row").map(({ title }) => title);
  expect(rows).toEqual([
    "Traffic and verdicts",
    "Reasons",
    "Latency",
    "Limits and leases",
    "Store and revocations",
    "Usage",
    "Keys",
    "Migration from V1 keys",
    "Audit, policy, process",
  ]);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const taken = new Set<string>();
  for (const { gridPos, type, targets, description } of panels) {
    if (type !== "row") expect([targets.length > 0, (description ?? "").length > 0]).toEqual([true, true]);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(x < 24 && !taken.has(`${x} ${y}`)).toBe(true);
        taken.add(`${x} ${y}`);
      }
    }
  }
});

test("the compose file mounts rules and dashboard where Prometheus and Grafana read them", () => {
  const read = (path: string) => readFileSync(new URL(`../../deploy/${path}`, import.meta.url), "utf8");
  const { prometheus, grafana } = readCompose().services;
  const { rule_files, scrape_configs } = parse(read("prometheus/prometheus.yml"));
  expect(rule_files).toEqual(["/etc/prometheus/rules/*.yaml"]);
  expect(prometheus?.volumes).toContain("../prometheus:/etc/prometheus/rules:ro");
  // The alerts match this name.
  expect(scrape_configs).toMatchObject([{ job_name: "latchkey" }]);
  const { providers } = parse(read("grafana/provisioning/dashboards/latchkey.yaml"));
  expect(grafana?.volumes).toContain(`../grafana:${providers[0].options.path}:ro`);
});
