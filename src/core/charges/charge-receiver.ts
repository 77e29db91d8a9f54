import { appliedLimits } from "../limits/applied-limits.ts";
import type { OverrideFinder } from "../overrides/override-view.ts";
import type { Policy } from "../policy/policy.ts";
import { createCalendars } from "../quotas/calendar.ts";
import type { QuotaDemand } from "../quotas/quota-demand.ts";
import { chargedDemands, unitLimit } from "../quotas/quota-demand.ts";
import type { QuotaExchange } from "../quotas/quota-exchange.ts";
import type { QuotaCharge } from "../quotas/quota-step.ts";
import type { ChargeLedger, ChargeOutcome } from "./charge-ledger.ts";
import type { ChargeTicket, ChargeTickets } from "./charge-ticket.ts";

/** The domain of Envoy's Rate Limit Service that charges. No policy can define it. */
export const CHARGE_DOMAIN = "latchkey";

/**
 * What became of a charge. These count: `charged`, and `fallback`, which replaces an amount that the proxy could not send. All
 * others charge nothing.
 */
export const CHARGE_RESULTS = [
  "charged",
  "fallback",
  "fallback_unused",
  "repeated",
  "no_ticket",
  "invalid_ticket",
  "expired_ticket",
  "wrong_unit",
  "no_quota",
  "no_amount",
  "too_much",
  "not_served",
  "void",
  "lost",
] as const;
export type ChargeResult = (typeof CHARGE_RESULTS)[number];

/** A charge as it was received. */
export interface ReceivedCharge {
  readonly ticket: string | undefined;
  readonly unit: string | undefined;
  /** Undefined: the caller does not name it. */
  readonly decisionId: string | undefined;
  /** Whole units. Undefined: the caller has sent none. */
  readonly amount: number | undefined;
  /** Counts only if nothing else of the unit was charged for the request. */
  readonly isFallback: boolean;
}

/** A charge and what became of it, for metrics, usage and the audit log. */
export interface SettledCharge {
  readonly result: ChargeResult;
  /** One of the policy; undefined if it has no such unit. */
  readonly unit: string | undefined;
  readonly amount: number;
  /** Only if Latchkey has issued it. */
  readonly ticket?: ChargeTicket;
}

export interface ChargeReceiverPorts {
  readonly policy: () => Policy;
  readonly overrides: OverrideFinder;
  readonly tickets: Pick<ChargeTickets, "open">;
  readonly ledger: ChargeLedger;
  readonly counters: Pick<QuotaExchange, "isExhausted">;
  readonly storeNowMs: () => number;
  /** Whether only the proxy can reach the listener. */
  readonly isServed: boolean;
  readonly onSettled: (settled: SettledCharge) => void;
}

/** Receives one charge, and returns whether one of its quotas is exhausted. A charge is never denied for that. */
export type ReceiveCharge = (received: ReceivedCharge) => boolean;

/** A charge that is accepted, as far as this instance can see. */
interface AcceptedCharge {
  readonly unit: string;
  readonly amount: number;
  readonly ticket: ChargeTicket;
  readonly demands: readonly QuotaDemand[];
  readonly isFallback: boolean;
}

export function createChargeReceiver(ports: ChargeReceiverPorts): ReceiveCharge {
  const calendars = createCalendars();
  const demandsOf = ({ key, grant }: ChargeTicket, unit: string): readonly QuotaDemand[] => {
    const policy = ports.policy();
    const role = policy.roles.get(key.role);
    if (role === undefined) return [];
    const { limits } = appliedLimits(policy, role, key, ports.overrides, ports.storeNowMs());
    const quotas = limits.quotas.filter((quota) => quota.unit === unit);
    return chargedDemands(quotas, key, calendars, grant.mode);
  };
  return (received) => {
    const accepted = accept(ports, received, demandsOf);
    if ("result" in accepted) {
      ports.onSettled(accepted);
      return false;
    }
    chargeAll(ports, accepted);
    return accepted.demands.some(ports.counters.isExhausted);
  };
}

/** Returns what is charged, or why nothing is. A text of the caller goes no further unless the ticket names it too. */
function accept(
  { policy, tickets, storeNowMs, isServed }: ChargeReceiverPorts,
  received: ReceivedCharge,
  demandsOf: (ticket: ChargeTicket, unit: string) => readonly QuotaDemand[],
): AcceptedCharge | SettledCharge {
  const { amount, isFallback } = received;
  const known = received.unit === undefined ? undefined : policy().units.get(received.unit);
  const unit = known && received.unit;
  const reject = (result: ChargeResult, ticket?: ChargeTicket): SettledCharge => ({
    result,
    unit,
    amount: amount ?? 0,
    ...(ticket && { ticket }),
  });
  if (!isServed) return reject("not_served");
  if (received.ticket === undefined || received.ticket === "") return reject("no_ticket");
  const ticket = tickets.open(received.ticket);
  if (ticket === undefined) return reject("invalid_ticket");
  if (received.decisionId !== undefined && received.decisionId !== ticket.decisionId)
    return reject("invalid_ticket");
  if (known === undefined || unit === undefined || !ticket.grant.units.includes(unit))
    return reject("wrong_unit", ticket);
  if (storeNowMs() - ticket.issuedMs > known.chargeWithinMs) return reject("expired_ticket", ticket);
  if (amount === undefined) return reject("no_amount", ticket);
  const demands = demandsOf(ticket, unit);
  if (demands.length === 0) return reject("no_quota", ticket);
  if (amount > (known.maxCharge ?? Number.POSITIVE_INFINITY)) return reject("too_much", ticket);
  const most = known.maxCharge ?? largestCharge(ticket, demands, storeNowMs());
  return { unit, amount: Math.min(amount, most), ticket, demands, isFallback };
}

/**
 * Without `max_charge`. More exhausts every quota anyway, and counts as this much: if it counted nothing, requests that use more than
 * a small limit, such as one that an operator has just lowered, would never exhaust it. What a request has reserved stays charged.
 */
function largestCharge(
  { grant: { reserved } }: ChargeTicket,
  demands: readonly QuotaDemand[],
  nowMs: number,
): number {
  return Math.max(reserved?.amount ?? 0, ...demands.map((demand) => unitLimit(demand, nowMs)));
}

/** Charges every quota of the unit. The first one decides about what became of the charge. */
function chargeAll(ports: ChargeReceiverPorts, accepted: AcceptedCharge): void {
  const { ticket, unit, amount, demands, isFallback } = accepted;
  const settle = (outcome: ChargeOutcome | "lost") =>
    ports.onSettled({ result: resultOf(outcome, isFallback), unit, amount, ticket });
  for (const [index, demand] of demands.entries()) {
    const charge = chargeOf(ports, accepted, demand);
    const onOutcome = index === 0 ? settle : () => undefined;
    if (!ports.ledger.add({ demand, charge, onOutcome })) onOutcome("lost");
  }
}

function resultOf(outcome: ChargeOutcome | "lost", isFallback: boolean): ChargeResult {
  if (outcome === "counted") return isFallback ? "fallback" : "charged";
  if (outcome === "repeat") return isFallback ? "fallback_unused" : "repeated";
  return outcome;
}

/** A ticket may arrive until the end of its life. Its id is remembered for that time, and for the difference of clocks. */
const REMEMBER_LONGER_MS = 60_000;

function chargeOf(
  { policy, storeNowMs }: ChargeReceiverPorts,
  { ticket, unit, amount }: AcceptedCharge,
  { quota }: QuotaDemand,
): QuotaCharge {
  const { issuedMs, decisionId, grant } = ticket;
  const { chargeWithinMs = 0, reserveForMs = 0 } = policy().units.get(unit) ?? {};
  const nowMs = storeNowMs();
  const { reserved } = grant;
  const isReserved = reserved?.unit === unit && reserved.quotas.includes(quota.name);
  return {
    // A counter has one unit, so a decision is charged to it once.
    id: decisionId,
    amount,
    reserved: isReserved ? reserved.amount : 0,
    issuedMs,
    receivedMs: Math.floor(nowMs),
    isRefundable: nowMs - issuedMs <= reserveForMs,
    keepMs: chargeWithinMs + REMEMBER_LONGER_MS,
  };
}
