import type { FiguresBody } from "../api/admin/figures-schemas.ts";
import type { StatusBody } from "../api/admin/status-route.ts";
import type { EventStreams } from "../api/http/event-streams.ts";
import { createEventStreams } from "../api/http/event-streams.ts";
import type { DecisionTotal } from "../telemetry/metrics/decision-counters.ts";
import type { DurationCount, Metrics } from "../telemetry/metrics/metrics.ts";
import type { Runtime } from "./runtime.ts";
import type { StatusDeps } from "./status.ts";
import { createStatus } from "./status.ts";

export interface FiguresDeps {
  readonly metrics: Pick<Metrics, "decisionTotals" | "decisionDurations">;
  readonly readStatus: () => Promise<StatusBody>;
  readonly nowMs: () => number;
  readonly monotonicMs?: () => number;
}

/** The status counts keys in the store, so it is read less often than the figures. */
const STATUS_EVERY_MS = 5000;

interface Sample {
  readonly atMs: number;
  readonly decisions: readonly DecisionTotal[];
  readonly durations: readonly DurationCount[];
}

/** How often a stream has an event. */
const EVERY_MS = 2000;

/** What operators see of this instance: its status, and a stream of its figures. */
export function createReports(
  runtime: Pick<Runtime, "metrics" | "clock">,
  deps: StatusDeps,
): { readonly readStatus: FiguresDeps["readStatus"]; readonly figureStreams: EventStreams } {
  const readStatus = createStatus(runtime, deps);
  const read = createFigures({ metrics: runtime.metrics, readStatus, nowMs: runtime.clock.nowMs });
  const next = async () => JSON.stringify(await read());
  return { readStatus, figureStreams: createEventStreams({ everyMs: EVERY_MS, next }) };
}

/** Returns a function that gives the figures between its last call and this one. The first call covers the time since the creation. */
export function createFigures(deps: FiguresDeps): () => Promise<FiguresBody> {
  const { metrics, readStatus, nowMs, monotonicMs = () => performance.now() } = deps;
  let before: Sample = { atMs: monotonicMs(), decisions: [], durations: [] };
  let status: { readonly body: StatusBody; readonly untilMs: number } | undefined;
  return async () => {
    const atMs = monotonicMs();
    const now = { atMs, decisions: metrics.decisionTotals(), durations: await metrics.decisionDurations() };
    if (status === undefined || atMs >= status.untilMs)
      status = { body: await readStatus(), untilMs: atMs + STATUS_EVERY_MS };
    const body = figuresBetween(before, now);
    before = now;
    return { ...body, at: new Date(nowMs()).toISOString(), status: status.body };
  };
}

function figuresBetween(before: Sample, now: Sample): Omit<FiguresBody, "at" | "status"> {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000);
  const earlier = new Map(before.decisions.map(({ mode, reason, count }) => [`${mode} ${reason}`, count]));
  const counts = now.durations.map(({ atMostMs, count }, at) => {
    return { atMostMs, count: Math.max(0, count - (before.durations[at]?.count ?? 0)) };
  });
  return {
    seconds: round(seconds),
    decisions: now.decisions.map(({ mode, reason, count }) => ({
      verdict: reason === "allowed" ? "allow" : "deny",
      reason,
      mode,
      per_second: round(Math.max(0, count - (earlier.get(`${mode} ${reason}`) ?? 0)) / seconds),
    })),
    latency: { p50_ms: quantile(counts, 0.5), p99_ms: quantile(counts, 0.99) },
  };
}

/**
 * The duration that a share of the decisions did not exceed, interpolated within its bucket as Prometheus does. Null without
 * decisions. Above the last finite bound, that bound.
 */
export function quantile(counts: readonly DurationCount[], share: number): number | null {
  const rank = share * (counts.at(-1)?.count ?? 0);
  if (rank === 0) return null;
  const at = counts.findIndex(({ count }) => count >= rank);
  const [lower, upper] = [counts[at - 1] ?? { atMostMs: 0, count: 0 }, counts[at]];
  if (upper === undefined || !Number.isFinite(upper.atMostMs)) return round(lower.atMostMs);
  const within = (rank - lower.count) / (upper.count - lower.count);
  return round(lower.atMostMs + (upper.atMostMs - lower.atMostMs) * within);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
