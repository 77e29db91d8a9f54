import type { UsageAmount, UsageOutcome } from "./usage-amount.ts";
import { addUsage, countsOfRoute, noAmount } from "./usage-amount.ts";

/**
 * Counts what one family uses. A family of one route, which is the rule, takes 80 bytes, where an amount takes 290. A class, because
 * an object with its own functions would take more.
 */
export class FamilyCounts {
  readonly owner: string;
  #cost = 0;
  /** The label of the first route. The three numbers are its requests. */
  #label: string | undefined;
  allowed = 0;
  denied = 0;
  limited = 0;
  /** Further routes, requests without a route, and units. */
  #rest: UsageAmount | undefined;

  constructor(owner: string) {
    this.owner = owner;
  }

  /** Counts a request. A known route costs no allocation. */
  count(outcome: UsageOutcome, label: string | undefined, cost: number): void {
    this.#cost += cost;
    this.#label ??= label;
    if (label !== undefined && label === this.#label) {
      this[outcome]++;
      return;
    }
    const rest = this.#others();
    rest.requests[outcome]++;
    if (label !== undefined) countsOfRoute(rest.routes, label)[outcome]++;
  }

  charge(unit: string, charged: number): void {
    const { units } = this.#others();
    units.set(unit, (units.get(unit) ?? 0) + charged);
  }

  /** A copy of everything that was counted. */
  amount(): UsageAmount {
    const { owner, allowed, denied, limited } = this;
    const amount = { ...noAmount(owner), cost: this.#cost, requests: { allowed, denied, limited } };
    if (this.#label !== undefined) amount.routes.set(this.#label, { allowed, denied, limited });
    if (this.#rest !== undefined) addUsage(amount, this.#rest);
    return amount;
  }

  #others(): UsageAmount {
    this.#rest ??= noAmount(this.owner);
    return this.#rest;
  }
}
