import type { QuotaCounter } from "../quotas/quota-counter.ts";
import { takenUnits } from "../quotas/quota-counter.ts";
import type { QuotaRow } from "./ports.ts";

/** The longest window is a month. A counter is kept for a day after its window. */
const MAX_LIFE_SECONDS = 33 * 86_400;

/** Undefined if the counter has counted nothing. */
export function quotaRow(counterId: string, counter: QuotaCounter): QuotaRow | undefined {
  const { windowMs, limit } = counter;
  return windowMs < 0 ? undefined : { counterId, windowMs, used: takenUnits(counter), limit };
}

/** A later window counts; in the same window, the larger number. So no copy lowers a counter, and none counts twice. */
export function mergeQuotaRow(source: QuotaRow, stored: QuotaRow | undefined): QuotaRow | undefined {
  if (stored === undefined || source.windowMs > stored.windowMs) return source;
  return source.windowMs === stored.windowMs && source.used > stored.used ? source : undefined;
}

/** NumericDate from which the counter has certainly no effect: the row does not say how long its window is. */
export function quotaEndSeconds({ windowMs }: QuotaRow): number {
  return Math.floor(windowMs / 1000) + MAX_LIFE_SECONDS;
}
