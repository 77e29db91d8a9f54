import type { ChargeTickets } from "../core/charges/charge-ticket.ts";
import type { Decision } from "../core/decision/decision.ts";
import type { AllowFragment } from "./allow-fragments.ts";
import { EMPTY } from "./allow-fragments.ts";
import type { ResponseContext } from "./response-context.ts";

export type TicketIssuer = Pick<ChargeTickets, "issue">;

/**
 * The ticket by which the proxy charges this request later. It is metadata only, so neither client nor upstream sees it.
 * @param tickets absent for a transport without metadata: its requests are not charged
 */
export function ticketFragment(
  decision: Decision,
  { decisionId }: Pick<ResponseContext, "decisionId">,
  tickets?: TicketIssuer,
): AllowFragment {
  if (tickets === undefined || decision.verdict !== "allow") return EMPTY;
  const { principal, charge } = decision;
  if (principal === undefined || charge === undefined) return EMPTY;
  return { ok: {}, metadata: { charge: tickets.issue(principal, charge, decisionId) } };
}
