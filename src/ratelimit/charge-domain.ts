import type { ReceiveCharge, ReceivedCharge } from "../core/charges/charge-receiver.ts";
import type { RateLimitRequest, ReceivedDescriptor } from "./request-decoder.ts";
import { encodeRateLimitResponse } from "./response-encoder.ts";

/**
 * Charges each descriptor, in their order. A descriptor whose quota is exhausted afterwards is over the limit. Everything else is OK,
 * because a proxy may ask before it sends the request to upstream, and then the answer decides.
 */
export function chargeDescriptors(receive: ReceiveCharge, { descriptors }: RateLimitRequest): Uint8Array {
  const statuses = descriptors.map((descriptor) => ({
    code: receive(receivedCharge(descriptor)) ? ("over_limit" as const) : ("ok" as const),
  }));
  return encodeRateLimitResponse(
    statuses.some(({ code }) => code === "over_limit") ? "over_limit" : "ok",
    statuses,
  );
}

function receivedCharge({ entries, hits, isRefund }: ReceivedDescriptor): ReceivedCharge {
  const textOf = (name: string) => entries.find(({ key }) => key === name)?.value;
  return {
    ticket: textOf("charge"),
    unit: textOf("unit"),
    decisionId: textOf("decision_id"),
    amount: isRefund ? undefined : hits,
    isFallback: textOf("fallback") !== undefined,
  };
}
