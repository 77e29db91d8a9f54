import type { SentPosting } from "../postings/posting.ts";
import type { Windows } from "./calendar.ts";
import type { ExtraUnits } from "./quota-demand.ts";

/** Percent of the limit. */
export type Threshold = 80 | 100;

/** A request for units. All amounts are whole. */
export interface UnitRequest {
  /** Instance and counter; never used again. */
  readonly leaseId: string;
  /** The minimum: the cost of the first waiting request. 0: only `ahead` is wanted. */
  readonly cost: number;
  /** The cost of all waiting requests together. */
  readonly waiting: number;
  /** Units to hold in advance. At most 1% of what is left is granted for it, together with `held`. */
  readonly ahead: number;
  /** Units that the instance holds already. */
  readonly held: number;
}

/** An amount that a request has used of a unit, known after its response. A counter counts it once. */
export interface QuotaCharge {
  /** Of the request, and unique for ever. A second charge with the same id is a repetition. */
  readonly id: string;
  readonly amount: number;
  /** What the request has reserved of this quota; 0: nothing. The charge corrects it. */
  readonly reserved: number;
  /** When the request was admitted, by the store's clock in milliseconds. */
  readonly issuedMs: number;
  /** When the charge was received, by the store's clock in milliseconds. */
  readonly receivedMs: number;
  /** Whether a part of the reservation may still be returned. */
  readonly isRefundable: boolean;
  /** How long after {@link issuedMs} the id is remembered at least, in milliseconds. */
  readonly keepMs: number;
}

/** One step on a counter. The limit comes with it, because it may differ between plans, and between instances during a roll-out. */
export interface QuotaStep {
  readonly limit: number;
  /** Units on top of the limit in one window. */
  readonly extra?: ExtraUnits | undefined;
  /** As the instance's clock has them. The store decides which one it is. */
  readonly windows: Windows;
  /** The ends of leases. An unknown or expired lease returns nothing. */
  readonly settlements: readonly { readonly leaseId: string; readonly unspentTokens: number }[];
  readonly request?: UnitRequest | undefined;
  readonly posting?: { readonly instanceId: string; readonly sent: SentPosting<number> } | undefined;
  readonly charge?: QuotaCharge | undefined;
}

export interface QuotaReply {
  /** False if the store's time lies in none of the two windows. Nothing was done then. */
  readonly inWindows: boolean;
  /** The store's time in milliseconds. */
  readonly nowMs: number;
  readonly windowMs: number;
  /** Microseconds until the window ends. */
  readonly leftUs: number;
  readonly grantedUnits: number;
  /** Microseconds that the granted lease lives. */
  readonly lifeUs: number;
  /** Without a grant: whether units are left, but the window ends too soon for a lease. */
  readonly isEnding: boolean;
  readonly used: number;
  /** Units that are neither used nor leased. */
  readonly freeUnits: number;
  /** Units in outstanding leases, without those that a charge has returned already. */
  readonly leased: number;
  /** Units of leases that expired in this step. They count as used, although their holder may not have spent them. */
  readonly expiredUnits: number;
  /** The threshold that this step crosses first in this window; 0: none. */
  readonly crossed: Threshold | 0;
  /** Undefined without a posting, or if the store's clock has not reached its window. */
  readonly posted: "counted" | "void" | "behind" | undefined;
  /** Undefined without a charge. `void`: the window in which it was received has ended. */
  readonly charged: "counted" | "repeat" | "void" | undefined;
}
