import type { DecisionTotal } from "../telemetry/metrics/decision-counters.ts";

export interface DecisionRates {
  /** Requests per second that went on, also those that shadow mode let through. */
  readonly allowed: number;
  readonly denied: number;
}

/** Returns a function that gives the rates since its last call. A first call gives those since its creation. */
export function createDecisionRates(
  totals: () => readonly DecisionTotal[],
  monotonicMs: () => number = () => performance.now(),
): () => DecisionRates {
  let before = { ...sumOf(totals()), atMs: monotonicMs() };
  return () => {
    const now = { ...sumOf(totals()), atMs: monotonicMs() };
    const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000);
    const rates = {
      allowed: Math.max(0, now.allowed - before.allowed) / seconds,
      denied: Math.max(0, now.denied - before.denied) / seconds,
    };
    before = now;
    return rates;
  };
}

function sumOf(totals: readonly DecisionTotal[]): DecisionRates {
  const sum = { allowed: 0, denied: 0 };
  for (const { reason, mode, count } of totals)
    sum[reason === "allowed" || mode === "shadow" ? "allowed" : "denied"] += count;
  return sum;
}
