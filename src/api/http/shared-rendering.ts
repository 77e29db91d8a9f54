/** The largest share of the CPU time of this thread that rendering may take. Checks run on the same thread. */
const MAX_SHARE = 0.1;
/** A rendered text is never older than this, even if rendering is expensive. */
const MAX_AGE_MS = 1000;

/** Clocks in milliseconds, each with an arbitrary start. */
export interface RenderingClock {
  readonly monotonicMs: () => number;
  /** The CPU time of this thread, which does not depend on the load of the machine. */
  readonly cpuMs: () => number;
}

const OWN_CLOCK: RenderingClock = {
  monotonicMs: () => performance.now(),
  cpuMs() {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  },
};

/**
 * Shares one rendering among concurrent callers. Returns a finished text again for ten times as long as rendering took, but
 * for a second at most. So rendering takes at most a tenth of the CPU time, unless one rendering takes more than 100 ms.
 */
export function shareRendering<T>(
  render: () => Promise<T>,
  { monotonicMs, cpuMs }: RenderingClock = OWN_CLOCK,
): () => Promise<T> {
  let current: Promise<T> | undefined;
  let freshUntilMs = 0;
  return () => {
    if (current !== undefined && monotonicMs() < freshUntilMs) return current;
    const [startMs, startCpuMs] = [monotonicMs(), cpuMs()];
    freshUntilMs = Number.POSITIVE_INFINITY;
    const rendering = render();
    current = rendering;
    rendering.then(
      () => {
        freshUntilMs = startMs + Math.min(MAX_AGE_MS, (cpuMs() - startCpuMs) / MAX_SHARE);
      },
      () => {
        freshUntilMs = 0;
      },
    );
    return rendering;
  };
}
