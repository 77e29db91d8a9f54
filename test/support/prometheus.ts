import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import { z } from "zod";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { prometheusBinaries } from "../../scripts/prometheus-binary.ts";
import { removeAtEnd } from "./at-end.ts";

export const PROMETHEUS_FOLDER = fileURLToPath(new URL("../../deploy/prometheus", import.meta.url));

const rule = z.object({
  record: z.string().optional(),
  alert: z.string().optional(),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const ruleFile = z.object({
  groups: z.array(z.object({ name: z.string(), interval: z.string().optional(), rules: z.array(rule) })),
});

export type Rule = z.infer<typeof rule>;

/** The shipped rules of `recording` or `alerts`. */
export function readRules(name: "recording" | "alerts"): z.infer<typeof ruleFile> {
  return ruleFile.parse(parse(readFileSync(join(PROMETHEUS_FOLDER, `${name}.yaml`), "utf8")));
}

const dashboard = z.object({
  templating: z.object({ list: z.array(z.object({ name: z.string(), query: z.unknown() })) }),
  annotations: z.object({ list: z.array(z.object({ expr: z.string() })) }),
  panels: z.array(
    z.object({
      id: z.int(),
      title: z.string(),
      type: z.string(),
      description: z.string().optional(),
      gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
      targets: z.array(z.object({ expr: z.string() })).default([]),
    }),
  ),
});

/** The parts of the shipped dashboard that the tests read. */
export function readDashboard(): z.infer<typeof dashboard> {
  const text = readFileSync(new URL("../../deploy/grafana/latchkey.json", import.meta.url), "utf8");
  return dashboard.parse(JSON.parse(text));
}

/** Hours become seconds, for which a test can wait. The order of the windows stays. */
const QUICK: Readonly<Record<string, string>> = {
  "5m": "4s",
  "10m": "5s",
  "15m": "6s",
  "30m": "6s",
  "1h": "8s",
  "6h": "10s",
};

/** The same expression over windows of seconds. Throws at an unknown window. */
export function quickened(expr: string): string {
  return expr.replaceAll(/(\[|offset )(\w+)/g, (_, before: string, window: string) => {
    const quick = QUICK[window];
    if (quick === undefined) throw new Error(`no quick form of ${window}`);
    return `${before}${quick}`;
  });
}

function quickRules(name: "recording" | "alerts") {
  const groups = readRules(name).groups.map((group) => ({
    ...group,
    interval: "500ms",
    rules: group.rules.map((one) => ({
      ...one,
      // Half a minute without the revocation feed is the only threshold that is a time.
      expr: quickened(one.expr).replace(/(staleness_seconds) > 30$/, "$1 > 3"),
      ...(one.for !== undefined && { for: "1s" }),
    })),
  }));
  return stringify({ groups });
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface TestedPrometheus extends Child {
  /** The samples of an instant vector, or a scalar as one without labels. */
  query(expr: string): Promise<readonly Sample[]>;
  /** The names of the firing alerts, each once. */
  firing(): Promise<readonly string[]>;
}

/**
 * A real Prometheus with the shipped rules over windows of seconds; it scrapes each target twice per second.
 */
export async function startPrometheus(targets: readonly string[]): Promise<TestedPrometheus> {
  const { server } = await prometheusBinaries();
  const folder = await mkdtemp(join(tmpdir(), "latchkey-prometheus-"));
  removeAtEnd(folder);
  for (const name of ["recording", "alerts"] as const)
    writeFileSync(join(folder, `${name}.yaml`), quickRules(name));
  const config = {
    global: { scrape_interval: "500ms", scrape_timeout: "500ms", evaluation_interval: "500ms" },
    rule_files: [join(folder, "*.yaml")],
    scrape_configs: [{ job_name: "latchkey", static_configs: [{ targets }] }],
  };
  writeFileSync(join(folder, "prometheus.yml"), stringify(config));
  const listening = Promise.withResolvers<string>();
  const child = await startChild(
    server,
    [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      "--web.listen-address=127.0.0.1:0",
    ],
    {
      env: { PATH: process.env["PATH"] },
      onStderrLine: (line) => {
        const address = /msg="Listening on" address=(\S+)/.exec(line)?.[1];
        if (address !== undefined) listening.resolve(address);
      },
    },
  );
  const ended = child.exited.then((code) => Promise.reject(new Error(`${code}:\n${child.output()}`)));
  const address = await Promise.race([listening.promise, ended]);
  ended.catch(() => undefined);
  const query = (expr: string) => ask(address, expr);
  return {
    ...child,
    query,
    firing: async () => {
      const samples = await query('count by (alertname) (ALERTS{alertstate="firing"})');
      return samples.map(({ labels }) => labels["alertname"] ?? "").sort();
    },
  };
}

const pair = z.tuple([z.number(), z.string()]);
const answer = z.object({
  data: z.discriminatedUnion("resultType", [
    z.object({ resultType: z.literal("scalar"), result: pair }),
    z.object({
      resultType: z.literal("vector"),
      result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: pair })),
    }),
  ]),
});

async function ask(address: string, expr: string): Promise<readonly Sample[]> {
  const response = await fetch(`http://${address}/api/v1/query`, {
    method: "POST",
    body: new URLSearchParams({ query: expr }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${expr}: ${text}`);
  const { data } = answer.parse(JSON.parse(text));
  if (data.resultType === "scalar") return [{ labels: {}, value: Number(data.result[1]) }];
  return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
}
