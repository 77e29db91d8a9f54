import type { Calendar } from "./calendar.ts";
import type { QuotaReply, QuotaStep } from "./quota-step.ts";
import type { QuotaStore } from "./quota-store.ts";

export interface WindowedStore {
  readonly store: QuotaStore;
  /** The store's clock, as far as this instance knows it. It only proposes windows; the store chooses. */
  readonly storeNowMs: () => number;
}

/** If the store's time lies in none of the windows, they are proposed again for its time. */
export async function sendInWindow(
  { store, storeNowMs }: WindowedStore,
  counterId: string,
  calendar: Calendar,
  step: Omit<QuotaStep, "windows">,
): Promise<QuotaReply> {
  const first = await store.step(counterId, { ...step, windows: calendar(storeNowMs()) });
  if (first.inWindows) return first;
  const second = await store.step(counterId, { ...step, windows: calendar(first.nowMs) });
  if (!second.inWindows) throw new Error("the clock of the store is not steady");
  return second;
}
