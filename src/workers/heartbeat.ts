const EVERY_MS = 1000;
/** Longer than any work that blocks a process, also on a busy machine. */
const MAX_MISSED = 10;

/**
 * Sends a process a heartbeat query every second. Calls `onDead` when the process has responded before and then misses ten in
 * a row, as a stopped or looping process does. Returns a function that stops the heartbeat.
 */
export function watchHeartbeat(ask: () => Promise<unknown>, onDead: () => void): () => void {
  let hasResponded = false;
  let missed = 0;
  let isPending = false;
  const timer = setInterval(async () => {
    if (isPending) return;
    isPending = true;
    const responded = (await ask()) !== undefined;
    isPending = false;
    hasResponded ||= responded;
    missed = responded ? 0 : missed + 1;
    if (!hasResponded || missed < MAX_MISSED) return;
    clearInterval(timer);
    onDead();
  }, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}
