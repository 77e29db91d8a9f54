import type { ReceiveCharge } from "../core/charges/charge-receiver.ts";
import { CHARGE_DOMAIN } from "../core/charges/charge-receiver.ts";
import type { DescriptorLimits } from "../core/limits/ports.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import { chain } from "../core/maybe-promise.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { Calendars } from "../core/quotas/calendar.ts";
import { createCalendars } from "../core/quotas/calendar.ts";
import { responseBudgetMs, withTimeout } from "../core/timeout.ts";
import type { UnaryMethod } from "../grpc/transport.ts";
import { chargeDescriptors } from "./charge-domain.ts";
import type { Decided, DescriptorCharge, RateLimitResult } from "./descriptor-charge.ts";
import { chargeOf, NOTHING_TO_CHARGE, takeCharge } from "./descriptor-charge.ts";
import type { RateLimitRequest } from "./request-decoder.ts";
import { decodeRateLimitRequest } from "./request-decoder.ts";
import type { Code } from "./response-encoder.ts";
import { encodeRateLimitResponse } from "./response-encoder.ts";

export interface ShouldRateLimitPorts {
  readonly policy: () => Pick<Policy, "rateLimitDomains" | "faults">;
  readonly limits: DescriptorLimits;
  /** Charges of Latchkey's own domain. */
  readonly receiveCharge: ReceiveCharge;
  readonly nowMs: () => number;
  /** Called for each descriptor. `domain` is one of the policy's, or `none`. */
  readonly onResult: (domain: string, result: RateLimitResult) => void;
  /** Called with every exception. */
  readonly onFault: (error: unknown) => void;
}

/** Maximum number of descriptors that wait for the store. One more is decided as a failed one. */
const MAX_PENDING = 32 * 1024;

/**
 * Decides calls of Envoy's Rate Limit Service. Never throws and never rejects: what cannot be decided gets OVER_LIMIT, or OK with
 * `faults.limits: allow`.
 */
export function createShouldRateLimit(ports: ShouldRateLimitPorts): UnaryMethod["handle"] {
  const charge = createCharge(ports);
  const calendars = createCalendars();
  return (message, timeLeftMs) => {
    try {
      const request = message && decodeIfValid(message);
      if (request === undefined) return respondFailed(ports);
      if (request.domain === CHARGE_DOMAIN) return chargeDescriptors(ports.receiveCharge, request);
      const decided = decideAll(ports, calendars, request, (found) =>
        charge(found, responseBudgetMs(timeLeftMs)),
      );
      return decided instanceof Promise ? decided.catch((error) => respondFailed(ports, error)) : decided;
    } catch (error) {
      return respondFailed(ports, error);
    }
  };
}

function decodeIfValid(message: Uint8Array): RateLimitRequest | undefined {
  try {
    return decodeRateLimitRequest(message);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function respondFailed({ policy, onResult, onFault }: ShouldRateLimitPorts, error?: unknown): Uint8Array {
  try {
    onResult("none", "failed");
    if (error !== undefined) onFault(error);
    return encodeRateLimitResponse(failedCode(policy()), []);
  } catch {
    return encodeRateLimitResponse("over_limit", []);
  }
}

function failedCode({ faults }: Pick<Policy, "faults">): Code {
  return faults.limits === "allow" ? "ok" : "over_limit";
}

type Charge = (charge: DescriptorCharge) => MaybePromise<Decided>;

/** Charges one bucket or counter in time. A descriptor in shadow mode is allowed whatever fails. */
function createCharge({ policy, limits, nowMs, onFault }: ShouldRateLimitPorts) {
  let pending = 0;
  const settle = () => {
    pending--;
  };
  return (charge: DescriptorCharge, budgetMs: number): MaybePromise<Decided> => {
    const failed = (error?: unknown): Decided => {
      if (error !== undefined) onFault(error);
      return { status: { code: charge.found.shadow ? "ok" : failedCode(policy()) }, result: "failed" };
    };
    if (pending >= MAX_PENDING) return failed();
    try {
      const decided = takeCharge(limits, charge, nowMs);
      if (!(decided instanceof Promise)) return decided;
      pending++;
      decided.then(settle, settle);
      return withTimeout(decided, budgetMs, () => failed()).catch(failed);
    } catch (error) {
      return failed(error);
    }
  };
}

/** Each descriptor is decided by itself, so one above its limit spares no other. The request is above the limit if one is. */
function decideAll(
  ports: ShouldRateLimitPorts,
  calendars: Calendars,
  request: RateLimitRequest,
  charge: Charge,
): MaybePromise<Uint8Array> {
  const domain = ports.policy().rateLimitDomains.get(request.domain);
  const all = request.descriptors.map((descriptor) => {
    const found = domain === undefined ? "unmatched" : chargeOf(domain, request, descriptor, calendars);
    return typeof found === "string" ? NOTHING_TO_CHARGE[found] : charge(found);
  });
  const label = domain === undefined ? "none" : request.domain;
  const respond = (decided: readonly Decided[]) => {
    for (const { result } of decided) ports.onResult(label, result);
    const isOver = decided.some(({ status }) => status.code === "over_limit");
    return encodeRateLimitResponse(
      isOver ? "over_limit" : "ok",
      decided.map(({ status }) => status),
    );
  };
  const [only] = all;
  // Most requests have one descriptor, and need no further promises.
  if (only !== undefined && all.length === 1) return chain(only, (decided) => respond([decided]));
  const settled = all.filter((each): each is Decided => !(each instanceof Promise));
  return settled.length === all.length ? respond(settled) : Promise.all(all).then(respond);
}
