import type { Clock } from "../clock.ts";
import type { CutOffSubject } from "../revocation/revocation.ts";
import type { RevocationView } from "../revocation/revocation-view.ts";

export interface DateDeps {
  /** The store's clock dates keys and changes. */
  readonly storeClock: Pick<Clock, "storeNowMs">;
}

export interface KeyDateDeps extends DateDeps {
  readonly view: Pick<RevocationView, "cutOffBefore">;
}

/** NumericDate by the store's clock. */
export function nowSeconds({ storeClock }: DateDeps): number {
  return Math.floor(storeClock.storeNowMs() / 1000);
}

export function newKeyId(
  deps: DateDeps & { readonly newRandom: () => string },
  role: string,
  issuedAt = nowSeconds(deps),
): string {
  return `${role}_${issuedAt}_${deps.newRandom()}`;
}

/**
 * The issue date of a new key: now, or the latest cut-off that this instance knows, because a store that has lost a cut-off
 * does not ask for it. Throws as {@link issueDateAfter}.
 * @param earliest the date that the store has asked for, or 0
 */
export function issueDate(deps: KeyDateDeps, subject: CutOffSubject, earliest: number): number {
  const now = nowSeconds(deps);
  return issueDateAfter(Math.max(now, earliest, deps.view.cutOffBefore(subject)), now);
}

/** The allowance of verifiers is 5 s, and the time of a decision may differ from the store's clock by 2 s. */
const MAX_ISSUE_AHEAD_SECONDS = 3;

/** Whether a new key may have this date. Verifiers would deny a later one at first. */
export function mayBeDated(issuedAt: number, nowSeconds: number): boolean {
  return issuedAt - nowSeconds <= MAX_ISSUE_AHEAD_SECONDS;
}

/** The date that a cut-off leaves for a new key. Throws if it is too far ahead. */
export function issueDateAfter(cutOff: number | undefined, nowSeconds: number): number {
  if (cutOff === undefined || !mayBeDated(cutOff, nowSeconds))
    throw new Error(
      "a cut-off of this role or owner is further ahead than a new key may be dated: no key can be issued yet",
    );
  return cutOff;
}
