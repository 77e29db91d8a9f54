/**
 * Like `setTimeout`, but what has arrived is read first. The event loop runs due timers before it reads, so a process that was
 * stopped, as by a CPU limit, would otherwise reject a reply that it already has. After `clearTimeout`, a callback that was
 * due may still run.
 */
export function setTimeoutAfterReads(onDue: () => void, waitMs: number): NodeJS.Timeout {
  return setTimeout(setImmediate, waitMs, onDue);
}

/**
 * Resolves with the result of the work, or with the result of `late` after `waitMs` milliseconds. Rejects if the work rejects in
 * that time, or if `late` throws. After the timeout the work continues, and its result is ignored.
 */
export function withTimeout<Done, Late>(
  work: Promise<Done>,
  waitMs: number,
  late: () => Late,
): Promise<Done | Late> {
  // A race would create four more promises for each call.
  return new Promise((resolve, reject) => {
    const timer = setTimeoutAfterReads(() => {
      try {
        resolve(late());
      } catch (error) {
        reject(error);
      }
    }, waitMs);
    work.then(
      (done) => {
        clearTimeout(timer);
        resolve(done);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

/** Maximum wait of a call without a deadline. Every store has a shorter timeout. */
const MAX_WAIT_MS = 10_000;

/**
 * How long a decision may take; a later one is discarded. A tenth of Envoy's deadline is reserved, and at least 20 ms or, below
 * 80 ms, a quarter of it, so that the response arrives in time.
 * @param timeLeftMs milliseconds until the deadline of the call
 */
export function responseBudgetMs(timeLeftMs: number): number {
  const laterMs = timeLeftMs - Math.min(20, timeLeftMs / 4);
  return Math.max(0, Math.min(0.9 * timeLeftMs, laterMs, MAX_WAIT_MS));
}
