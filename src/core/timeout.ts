const LATE = Symbol("late");

/**
 * Resolves with the result of the work, or with the result of `late` after `waitMs` milliseconds. Rejects if the work rejects in
 * that time. After the timeout the work continues, and its result is ignored.
 */
export async function withTimeout<Done, Late>(
  work: Promise<Done>,
  waitMs: number,
  late: () => Late,
): Promise<Done | Late> {
  const timeout = Promise.withResolvers<typeof LATE>();
  const timer = setTimeout(timeout.resolve, waitMs, LATE);
  try {
    const settled = await Promise.race([work, timeout.promise]);
    return settled === LATE ? late() : settled;
  } finally {
    clearTimeout(timer);
  }
}
