/** The time until valid keys are served again after a fault has ended, and until a change is effective. */
export const HEALED_WITHIN_MS = 180_000;

/** A start takes three seconds of processor time. On a machine with forty busy processes that was more than a minute. */
export const READY_WITHIN_MS = 300_000;

/**
 * The duration of a fault without an end of its own: longer than the instance waits after a file has changed.
 */
export const LASTS_MS = 2000;
