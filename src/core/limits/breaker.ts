/** Keeps requests from waiting for what does not answer: after a few failures in a row only probes go through. */
export interface Breaker {
  /** Whether to try. While it is open this is true once in each interval: that try is the probe. */
  admits(nowMs: number): boolean;
  succeeded(): void;
  failed(nowMs: number): void;
  /** When the failures began, milliseconds; undefined while it goes well. */
  failingSinceMs(): number | undefined;
}

export interface BreakerOptions {
  /** Failures in a row that open it; from 1. */
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
