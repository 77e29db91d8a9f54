import type { CheckPorts, Decide } from "../ext-authz/decide.ts";
import { createDecide } from "../ext-authz/decide.ts";
import type { CheckResponse } from "../ext-authz/messages.ts";
import { toCheckResponse } from "../ext-authz/plain-response.ts";
import type { ReceivedCall } from "./received-call.ts";
import { readCall } from "./received-call.ts";
import type { RequestForm } from "./request-form.ts";

/** Decides one call of a proxy as a Check is decided. A call that could not be received is denied. Never throws and never rejects. */
export type ForwardCheck = Decide<ReceivedCall, CheckResponse>;

export interface ForwardCheckOptions {
  /** `AUTH_TRUSTED_HOPS`. */
  readonly trustedHops: number;
}

const ROUTES: Readonly<Record<RequestForm, string>> = {
  envoy: "/envoy/{path}",
  forward: "/forward",
  original: "/original",
};

/** OpenTelemetry's name for an HTTP call. The HTTP parser knows a closed list of methods. */
function operationOf(call: ReceivedCall | undefined): string {
  const { method = "HTTP", target } = call ?? {};
  return target === undefined ? method : `${method} ${ROUTES[target.form]}`;
}

export function createForwardCheck(ports: CheckPorts, { trustedHops }: ForwardCheckOptions): ForwardCheck {
  return createDecide<ReceivedCall, CheckResponse>(ports, {
    operation: operationOf,
    decode: (call) => readCall(call, trustedHops),
    encode: (decision, context, mode) => toCheckResponse(decision, context, mode),
    fallback: { status: { code: 13 }, denied_response: { status: { code: 503 } } },
  });
}
