/** Repeats the work, one turn after the other. Gives what ends it, once the turn under way is over. */
export function everyTurn(
  intervalMs: number,
  work: () => Promise<void>,
  failed: (error: unknown) => void,
): () => Promise<void> {
  let running = Promise.resolve();
  let idle = true;
  const timer = setInterval(() => {
    if (!idle) return;
    idle = false;
    running = work()
      .catch(failed)
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
