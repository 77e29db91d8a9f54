import { expect, test } from "vitest";
import { decodeCheckResponse } from "../../scripts/protobuf.ts";
import { PLAIN_ROUTE } from "../../test/support/route.ts";
import type { Allow } from "../core/decision/decision.ts";
import { encodeCheckResponse } from "./check-response-encoder.ts";
import type { CheckResponse } from "./messages.ts";
import { createObservedEncoder } from "./observed-encoder.ts";
import { createResponseEncoder } from "./response-cache.ts";
import type { ResponseContext } from "./response-context.ts";
import type { TicketIssuer } from "./ticket-fragment.ts";

const CONTEXT: ResponseContext = {
  decisionId: "d",
  forwardPrefix: "x-latchkey-",
  legacyRateLimit: false,
  credentialSources: ["authorization"],
  request: undefined,
  grpc: false,
};
const CHARGED: Allow = {
  verdict: "allow",
  reason: "allowed",
  route: { ...PLAIN_ROUTE, label: "/a", pattern: "/a" },
  principal: {
    keyId: "k",
    family: "f",
    role: "basic",
    scopes: [],
    name: "n",
    issuedAt: 1,
    expiresAt: 2,
    refreshAfter: 1,
  },
  scopes: [],
  rates: [],
  refreshDue: false,
  charge: { mode: "enforce", route: "/a", units: ["tokens"] },
};

/** No two tickets are equal, as with a clock. */
function countingTickets(): TicketIssuer & { issued: number } {
  const tickets = { issued: 0, issue: () => `ticket ${++tickets.issued}` };
  return tickets;
}

function observed(isObserving: boolean) {
  const seen: [Uint8Array, CheckResponse][] = [];
  const tickets = countingTickets();
  const observer = {
    isObserving: () => isObserving,
    onResponse: (...response: [Uint8Array, CheckResponse]) => void seen.push(response),
    onFault: () => undefined,
  };
  return { seen, tickets, encode: createObservedEncoder(observer, tickets) };
}

test("the object says what the bytes say, and a charged request has one ticket", () => {
  const { seen, tickets, encode } = observed(true);
  for (const decisionId of ["1", "2"]) {
    const bytes = encode(CHARGED, { ...CONTEXT, decisionId }, "enforce");
    const [seenBytes, response] = seen.at(-1) ?? [];
    expect(seenBytes).toBe(bytes);
    const said = response && decodeCheckResponse(encodeCheckResponse(response));
    expect(said?.dynamic_metadata).toEqual(decodeCheckResponse(bytes).dynamic_metadata);
  }
  expect(tickets.issued).toBe(2);
});

test("the bytes are those of the encoder alone, whether or not they are observed", () => {
  const alone = createResponseEncoder(countingTickets())(CHARGED, CONTEXT, "enforce");
  for (const isObserving of [true, false])
    expect(observed(isObserving).encode(CHARGED, CONTEXT, "enforce")).toEqual(alone);
});

test("while no connection is copied, no object is created", () => {
  const { seen, encode } = observed(false);
  encode(CHARGED, CONTEXT, "enforce");
  expect(seen).toEqual([]);
});

test("an object that cannot be created does not change the response", () => {
  const faults: string[] = [];
  const encode = createObservedEncoder({
    isObserving: () => true,
    onResponse() {
      throw new Error("broken");
    },
    onFault: () => void faults.push("fault"),
  });
  expect(encode(CHARGED, CONTEXT, "enforce")).toEqual(createResponseEncoder()(CHARGED, CONTEXT, "enforce"));
  expect(faults).toEqual(["fault"]);
});
