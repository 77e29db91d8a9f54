const EVERY_MS = 1000;
/** Longer than any work that blocks a process, also on a busy machine. */
const MAX_MISSED = 10;

/**
 * Asks a process for a heartbeat every second. Calls `onDead` once it has answered before and then missed ten in a row, as
 * a process does that was stopped or loops without end. Returns the way to stop asking.
 */
export function watchHeartbeat(ask: () => Promise<unknown>, onDead: () => void): () => void {
  let hasAnswered = false;
  let missed = 0;
  let isAsking = false;
  const timer = setInterval(async () => {
    if (isAsking) return;
    isAsking = true;
    const answered = (await ask()) !== undefined;
    isAsking = false;
    hasAnswered ||= answered;
    missed = answered ? 0 : missed + 1;
    if (!hasAnswered || missed < MAX_MISSED) return;
    clearInterval(timer);
    onDead();
  }, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}
