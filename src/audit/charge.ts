import type { ChargeResult, SettledCharge } from "../core/charges/charge-receiver.ts";

/** Charges that no proxy should send. The others are in the metrics only. */
const AUDITED: ReadonlySet<ChargeResult> = new Set([
  "repeated",
  "invalid_ticket",
  "expired_ticket",
  "wrong_unit",
  "no_quota",
  "too_much",
  "void",
  "lost",
]);

export function isAuditedCharge({ result }: Pick<SettledCharge, "result">): boolean {
  return AUDITED.has(result);
}

/** The audit fields of a charge that was not accepted. They contain no text of the caller. */
export function chargeFields({ result, unit, amount, ticket }: SettledCharge) {
  return {
    event: "charge_rejected",
    result,
    ...(unit !== undefined && { unit }),
    amount,
    ...(ticket && {
      decision_id: ticket.decisionId,
      route: ticket.grant.route,
      mode: ticket.grant.mode,
      family: ticket.key.family,
      ...(ticket.key.owner !== undefined && { owner: ticket.key.owner }),
      role: ticket.key.role,
    }),
  };
}
