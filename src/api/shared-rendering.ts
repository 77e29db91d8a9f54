/** A text that is costly to make may take this share of the time of the thread that decides. */
const MAX_SHARE = 0.05;

/**
 * Renders once for all who ask at the same time, and gives a finished text again until twenty times its rendering time has
 * passed, at most `maxAgeMs`: however many ask, and however often, rendering takes at most a twentieth of the time (more only
 * if one takes over 50 ms).
 */
export function shareRendering<T>(
  render: () => Promise<T>,
  monotonicMs: () => number,
  maxAgeMs = 1000,
): () => Promise<T> {
  let current: Promise<T> | undefined;
  let freshUntilMs = 0;
  return () => {
    if (current !== undefined && monotonicMs() < freshUntilMs) return current;
    const startMs = monotonicMs();
    freshUntilMs = Number.POSITIVE_INFINITY;
    const rendering = render();
    current = rendering;
    rendering.then(
      () => {
        const tookMs = monotonicMs() - startMs;
        freshUntilMs = startMs + Math.min(maxAgeMs, tookMs / MAX_SHARE);
      },
      () => {
        freshUntilMs = 0;
      },
    );
    return rendering;
  };
}
