import type { QuotaCharge } from "./quota-step.ts";

/** Remembers the charges of a counter. Returns false for one that it remembers. @param untilMs when it may forget the charge */
export type RememberCharge = (id: string, untilMs: number, nowMs: number) => boolean;

/**
 * Instances and the store may differ about the window by this much. So a reservation of the first moments of a window is not
 * returned: it may have been taken in the window before. A charge of the last moments is counted in the next window.
 */
const WINDOW_EDGE_MS = 2000;

/** Whether the window in which the charge was received has ended. */
export function isVoidCharge({ receivedMs }: Pick<QuotaCharge, "receivedMs">, windowMs: number): boolean {
  return receivedMs + WINDOW_EDGE_MS < windowMs;
}

/** What the charge adds to the reservation, which counts already: negative if less was used. */
export function chargedUnits(
  { amount, reserved, issuedMs, isRefundable }: QuotaCharge,
  windowMs: number,
): number {
  // The reservation was taken in an earlier window.
  if (issuedMs < windowMs) return amount;
  if (amount >= reserved) return amount - reserved;
  return isRefundable && issuedMs >= windowMs + WINDOW_EDGE_MS ? amount - reserved : 0;
}
