/** Repeats the work, one turn after the other. Returns a function that stops it and waits for the current turn. */
export function repeat(
  intervalMs: number,
  work: () => Promise<void>,
  onFailure: (error: unknown) => void,
): () => Promise<void> {
  let running = Promise.resolve();
  let idle = true;
  const timer = setInterval(() => {
    if (!idle) return;
    idle = false;
    running = work()
      .catch(onFailure)
      .finally(() => {
        idle = true;
      });
  }, intervalMs);
  timer.unref();
  return () => {
    clearInterval(timer);
    return running;
  };
}
