/** A circuit breaker: after some consecutive failures only probes are admitted, so requests do not wait for timeouts. */
export interface Breaker {
  /** Whether to try. While the breaker is open this is true once per interval, for the probe. */
  admits(nowMs: number): boolean;
  succeeded(): void;
  failed(nowMs: number): void;
  /** The time of the first of the present failures, in milliseconds; undefined after a success. */
  failingSinceMs(): number | undefined;
}

export interface BreakerOptions {
  /** Consecutive failures that open the breaker; from 1. */
  readonly threshold: number;
  /** Milliseconds between probes. */
  readonly probeEveryMs: number;
}

export function createBreaker({ threshold, probeEveryMs }: BreakerOptions): Breaker {
  let failures = 0;
  let nextProbeMs = 0;
  let sinceMs: number | undefined;
  return {
    failingSinceMs: () => sinceMs,
    admits(nowMs) {
      if (failures < threshold) return true;
      if (nowMs < nextProbeMs) return false;
      nextProbeMs = nowMs + probeEveryMs;
      return true;
    },
    succeeded() {
      failures = 0;
      sinceMs = undefined;
    },
    failed(nowMs) {
      failures++;
      sinceMs ??= nowMs;
      if (failures === threshold) nextProbeMs = nowMs + probeEveryMs;
    },
  };
}
