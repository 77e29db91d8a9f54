/** Consecutive failures of one server. */
export interface Outage {
  /** The time of the first failure, in milliseconds. */
  readonly sinceMs: number;
  /** Whether a call has succeeded since. */
  isOver(): boolean;
}

/** A circuit breaker: after some consecutive failures only probes are admitted, so requests do not wait for timeouts. */
export interface Breaker {
  /** Whether to try. While the breaker is open this is true once per interval, for the probe. */
  admits(nowMs: number): boolean;
  succeeded(): void;
  failed(nowMs: number): void;
  /** The present failures, the same object until a call succeeds; undefined after a success. */
  outage(): Outage | undefined;
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
  let outage: Outage | undefined;
  return {
    outage: () => outage,
    admits(nowMs) {
      if (failures < threshold) return true;
      if (nowMs < nextProbeMs) return false;
      nextProbeMs = nowMs + probeEveryMs;
      return true;
    },
    succeeded() {
      failures = 0;
      outage = undefined;
    },
    failed(nowMs) {
      failures++;
      if (outage === undefined) {
        const begun: Outage = { sinceMs: nowMs, isOver: () => outage !== begun };
        outage = begun;
      }
      if (failures === threshold) nextProbeMs = nowMs + probeEveryMs;
    },
  };
}
