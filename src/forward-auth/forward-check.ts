import type { CheckPorts, Decide } from "../ext-authz/decide.ts";
import { createDecide } from "../ext-authz/decide.ts";
import type { CheckResponse } from "../ext-authz/messages.ts";
import { toCheckResponse } from "../ext-authz/plain-response.ts";
import type { ReceivedCall } from "./received-call.ts";
import { readCall } from "./received-call.ts";

/** Decides one call of a proxy as a Check is decided. A call that could not be received is denied. Never throws and never rejects. */
export type ForwardCheck = Decide<ReceivedCall, CheckResponse>;

export interface ForwardCheckOptions {
  /** `AUTH_TRUSTED_HOPS`. */
  readonly trustedHops: number;
}

export function createForwardCheck(ports: CheckPorts, { trustedHops }: ForwardCheckOptions): ForwardCheck {
  return createDecide<ReceivedCall, CheckResponse>(ports, {
    decode: (call) => readCall(call, trustedHops),
    encode: (decision, context, mode) => toCheckResponse(decision, context, mode),
    fallback: { status: { code: 13 }, denied_response: { status: { code: 503 } } },
  });
}
