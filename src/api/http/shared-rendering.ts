/** A text that is costly to make may take this share of the time of the thread that decides. */
const MAX_SHARE = 0.1;
/** Nobody sees an older text, however costly a new one is. */
const MAX_AGE_MS = 1000;

/** Milliseconds, each from any beginning. */
export interface RenderingClock {
  readonly monotonicMs: () => number;
  /** That the thread has computed: how busy the machine is makes no difference. */
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
 * Renders once for all who ask at the same time, and gives a finished text again until ten times of what it took has passed,
 * at most a second: however many ask, and however often, rendering takes a tenth of the time (more only if one takes over
 * 100 ms).
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
