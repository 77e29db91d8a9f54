import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { expect, test } from "vitest";
import { mergeMetrics } from "./merged-metrics.ts";

async function textOf(value: number): Promise<string> {
  const registers = [new Registry()];
  new Counter({ name: "c_total", help: "A {counter}.", labelNames: ["route"], registers }).inc(
    { route: '/a/{b} "c", d' },
    value,
  );
  new Gauge({ name: "g", help: "A gauge.", registers }).set(value / 3);
  new Histogram({ name: "h", help: "A histogram.", buckets: [1], registers }).observe(value);
  return registers.map((registry) => registry.metrics())[0] ?? "";
}

test("each sample has its worker's number, and each metric family has one head", async () => {
  const merged = mergeMetrics(
    new Map([
      [1, await textOf(1)],
      [3, await textOf(6)],
    ]),
  );
  expect(merged.split("\n").filter(Boolean)).toEqual([
    "# HELP c_total A {counter}.",
    "# TYPE c_total counter",
    String.raw`c_total{worker="1",route="/a/{b} \"c\", d"} 1`,
    String.raw`c_total{worker="3",route="/a/{b} \"c\", d"} 6`,
    "# HELP g A gauge.",
    "# TYPE g gauge",
    'g{worker="1"} 0.3333333333333333',
    'g{worker="3"} 2',
    "# HELP h A histogram.",
    "# TYPE h histogram",
    'h_bucket{worker="1",le="1"} 1',
    'h_bucket{worker="1",le="+Inf"} 1',
    'h_sum{worker="1"} 1',
    'h_count{worker="1"} 1',
    'h_bucket{worker="3",le="1"} 0',
    'h_bucket{worker="3",le="+Inf"} 1',
    'h_sum{worker="3"} 6',
    'h_count{worker="3"} 1',
  ]);
});

test("without workers the text is empty", () => {
  expect(mergeMetrics(new Map())).toBe("");
});
