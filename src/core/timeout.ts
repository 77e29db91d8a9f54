const LATE = Symbol("late");

/**
 * What the work gives, or what `late` gives when it takes longer than `waitMs` milliseconds. Rejects as the work does in that
 * time. The work goes on, and nobody hears how it ends.
 */
export async function withTimeout<Done, Late>(
  work: Promise<Done>,
  waitMs: number,
  late: () => Late,
): Promise<Done | Late> {
  const over = Promise.withResolvers<typeof LATE>();
  const timer = setTimeout(over.resolve, waitMs, LATE);
  try {
    const settled = await Promise.race([work, over.promise]);
    return settled === LATE ? late() : settled;
  } finally {
    clearTimeout(timer);
  }
}
