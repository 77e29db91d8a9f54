import type { Allow, Decision } from "../core/decision/decision.ts";
import type { Mode } from "../core/policy/policy.ts";
import type { AllowFragment } from "./allow-fragments.ts";
import {
  keyFragment,
  noticeFragment,
  remainingOf,
  requestFragment,
  routeFragment,
} from "./allow-fragments.ts";
import { denyResponse, shadowResponse } from "./deny-response.ts";
import { limitHeaders, overwrite } from "./header-options.ts";
import type { AllowResponse, CheckResponse } from "./messages.ts";
import type { ResponseContext } from "./response-context.ts";
import { toStruct } from "./struct.ts";
import type { TicketIssuer } from "./ticket-fragment.ts";
import { ticketFragment } from "./ticket-fragment.ts";

/**
 * The response to a decision as one object, for transports without protobuf. A property test shows that the response cache encodes
 * the same response.
 */
export function toCheckResponse(
  decision: Decision,
  context: ResponseContext,
  mode: Mode = "enforce",
  tickets?: TicketIssuer,
): CheckResponse {
  if (mode === "shadow") return shadowResponse(decision, context, tickets);
  return decision.verdict === "allow"
    ? allowResponse(decision, context, tickets)
    : denyResponse(decision, context);
}

function allowResponse(decision: Allow, context: ResponseContext, tickets?: TicketIssuer): AllowResponse {
  const fragments = [
    keyFragment(decision, context),
    routeFragment(decision.route, context),
    requestFragment(decision, context),
    decisionFragment(decision, context),
    ticketFragment(decision, context, tickets),
    noticeFragment(decision, context),
  ];
  const parameters = fragments.flatMap(({ ok }) => ok.query_parameters_to_remove ?? []);
  return {
    status: { code: 0 },
    ok_response: {
      headers: fragments.flatMap(({ ok }) => ok.headers ?? []),
      headers_to_remove: fragments.flatMap(({ ok }) => ok.headers_to_remove ?? []),
      response_headers_to_add: fragments.flatMap(({ ok }) => ok.response_headers_to_add ?? []),
      ...(parameters.length > 0 && { query_parameters_to_remove: parameters }),
    },
    dynamic_metadata: toStruct(Object.assign({}, ...fragments.map(({ metadata }) => metadata))),
  };
}

/** What depends on the decision: its id, and the tokens left. */
function decisionFragment(decision: Allow, { decisionId, forwardPrefix }: ResponseContext): AllowFragment {
  const { rates } = decision;
  return {
    ok: {
      headers: [overwrite(`${forwardPrefix}decision-id`, decisionId)],
      response_headers_to_add: limitHeaders(rates),
    },
    metadata: { decision_id: decisionId, ...(rates.length > 0 && { remaining: remainingOf(rates) }) },
  };
}
