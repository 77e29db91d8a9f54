import type { CheckResponse } from "./messages.ts";
import { toCheckResponse } from "./plain-response.ts";
import type { EncodeResponse } from "./response-cache.ts";
import { createResponseEncoder } from "./response-cache.ts";
import type { TicketIssuer } from "./ticket-fragment.ts";

/** Takes each response as bytes and as an object. Its functions must not throw. */
export interface ResponseObserver {
  /** While it is false, no object is created. */
  readonly isObserving: () => boolean;
  /** @param response what the bytes must say */
  readonly onResponse: (bytes: Uint8Array, response: CheckResponse) => void;
  /** Called when the object cannot be created. The bytes are sent all the same. */
  readonly onFault: () => void;
}

/** Encodes as {@link createResponseEncoder} does, and reports each response. */
export function createObservedEncoder(
  { isObserving, onResponse, onFault }: ResponseObserver,
  tickets?: TicketIssuer,
): EncodeResponse {
  const repeated = tickets && repeatLast(tickets);
  const encode = createResponseEncoder(repeated);
  return (decision, context, mode) => {
    const bytes = encode(decision, context, mode);
    if (!isObserving()) return bytes;
    try {
      onResponse(bytes, toCheckResponse(decision, context, mode, repeated));
    } catch {
      onFault();
    }
    return bytes;
  };
}

/** Issues the same ticket for the same decision. Otherwise the bytes and the object would have tickets of different times. */
function repeatLast(tickets: TicketIssuer): TicketIssuer {
  let last = { decisionId: "", ticket: "" };
  return {
    issue(key, grant, decisionId) {
      if (last.decisionId !== decisionId)
        last = { decisionId, ticket: tickets.issue(key, grant, decisionId) };
      return last.ticket;
    },
  };
}
