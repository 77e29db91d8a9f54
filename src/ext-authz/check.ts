import type { CheckFacts } from "../core/audit/ports.ts";
import type { Authorize } from "../core/decision/authorize.ts";
import type { Decision } from "../core/decision/decision.ts";
import { deny } from "../core/decision/decision.ts";
import type { UnparsedRequest } from "../core/decision/request.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import type { Policy } from "../core/policy/policy.ts";
import { withTimeout } from "../core/timeout.ts";
import type { Check } from "../grpc/transport.ts";
import { toAuthRequest } from "./auth-request.ts";
import type { ReceivedCheck } from "./check-request-decoder.ts";
import { decodeCheckRequest } from "./check-request-decoder.ts";
import { encodeCheckResponse } from "./check-response-encoder.ts";
import { canStripCookies } from "./credential-removal.ts";
import type { EncodeResponse } from "./response-cache.ts";
import { createResponseEncoder } from "./response-cache.ts";
import type { ResponseContext } from "./response-context.ts";

export interface CheckPorts {
  readonly policy: () => Policy;
  readonly authorize: Authorize;
  readonly nowMs: () => number;
  /** Monotonic nanoseconds. */
  readonly monotonicNs: () => bigint;
  readonly newDecisionId: () => string;
  /** Hears of every decision, before it is answered. Should it throw, the answer is a refusal. */
  readonly onDecision: (decision: Decision, about: CheckFacts) => void;
  /** Receives every fault that became a denial. */
  readonly onFault: (error: unknown, decisionId: string) => void;
  /** Receives why a message could not be decoded: its sender's mistake, not a fault. */
  readonly undecodable: (why: RangeError, decisionId: string) => void;
}

/** What is sent when even a refusal cannot be worded: code 13 and HTTP 503. */
const FALLBACK_DENIAL = encodeCheckResponse({
  status: { code: 13 },
  denied_response: { status: { code: 503 } },
});

/** A Check without a deadline waits no longer than this: every part that it may wait for answers sooner. */
const MAX_WAIT_MS = 10_000;

/**
 * How long a decision may take; a later one is none. A tenth of Envoy's deadline is kept back, and at least 20 ms, so that our
 * answer is there before it gives up.
 */
function responseBudgetMs(timeLeftMs: number): number {
  return Math.max(0, Math.min(0.9 * timeLeftMs, timeLeftMs - 20, MAX_WAIT_MS));
}

/**
 * Checks that wait for a store, also those whose client has gone: Envoy resets their streams, and as many new ones may
 * follow. Beyond them a Check is denied (`internal`) before anything is done for it.
 */
export const MAX_PENDING_CHECKS = 32 * 1024;

export function createCheck(ports: CheckPorts): Check {
  const parts: CheckParts = { ...ports, encode: createResponseEncoder() };
  let pending = 0;
  const settled = () => {
    pending--;
  };
  return (message, timeLeftMs) => {
    const state: CheckState = { startedNs: 0n, policy: undefined, context: EMPTY_CONTEXT, unread: undefined };
    try {
      if (pending >= MAX_PENDING_CHECKS) return answer(parts, overloaded(parts, state), state);
      const decision = decide(parts, message, state);
      if (!(decision instanceof Promise)) return answer(parts, decision, state);
      pending++;
      decision.then(settled, settled);
      return withTimeout(decision, responseBudgetMs(timeLeftMs), () => undecided(state))
        .then((settled) => answer(parts, settled, state))
        .catch((error: unknown) => respondToFault(parts, error, state));
    } catch (error) {
      return respondToFault(parts, error, state);
    }
  };
}

interface CheckParts extends CheckPorts {
  readonly encode: EncodeResponse;
}

/** What is known so far of one Check: a fault half-way is answered with what there is. */
interface CheckState {
  startedNs: bigint;
  /** By which it is decided; undefined: not known yet. */
  policy: Policy | undefined;
  context: CheckContext;
  unread: UnparsedRequest | undefined;
}

type CheckContext = { -readonly [Member in keyof ResponseContext]: ResponseContext[Member] };

const EMPTY_CONTEXT: ResponseContext = {
  decisionId: "",
  forwardPrefix: "x-latchkey-",
  credentialSources: [],
  legacyRateLimit: false,
  request: undefined,
  grpc: false,
};

function decide(
  parts: CheckParts,
  message: Uint8Array | undefined,
  state: CheckState,
): MaybePromise<Decision> {
  const policy = begin(parts, state);
  if (message === undefined) return deny("request_malformed");
  const received = decoded(parts, message, state.context.decisionId);
  if (received === undefined) return deny("request_malformed");
  const { context } = state;
  const parsed = toAuthRequest(received, policy.pathParams);
  if (!parsed.ok) {
    context.grpc = parsed.grpc;
    state.unread = parsed.unread;
    return deny("request_malformed");
  }
  const { request } = parsed;
  context.request = request;
  context.grpc = request.grpc;
  if (!canStripCookies(request, policy.credentialSources)) return deny("request_malformed");
  return parts.authorize(request, parts.nowMs());
}

function overloaded(parts: CheckParts, state: CheckState): Decision {
  begin(parts, state);
  return deny("internal");
}

/** Undefined: it is not a CheckRequest. */
function decoded(
  { undecodable }: CheckParts,
  message: Uint8Array,
  decisionId: string,
): ReceivedCheck | undefined {
  try {
    return decodeCheckRequest(message);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    undecodable(error, decisionId);
    return undefined;
  }
}

/** Notes what is known before the request is read. */
function begin(parts: CheckParts, state: CheckState): Policy {
  state.startedNs = parts.monotonicNs();
  const policy = parts.policy();
  const { forwardPrefix, legacyRateLimit, credentialSources } = policy;
  const decisionId = parts.newDecisionId();
  state.policy = policy;
  state.context = {
    decisionId,
    forwardPrefix,
    legacyRateLimit,
    credentialSources,
    request: undefined,
    grpc: false,
  };
  return policy;
}

/** A late or failed decision. Its route says whether the request goes through all the same: in shadow mode alone. */
function undecided({ policy, context: { request } }: CheckState): Decision {
  const route = request && policy?.routes.find(request);
  return deny("internal", route && { route });
}

function answer(parts: CheckParts, decision: Decision, state: CheckState): Uint8Array {
  const mode = decision.route?.mode ?? state.policy?.mode ?? "enforce";
  const bytes = parts.encode(decision, state.context, mode);
  const { decisionId, request } = state.context;
  const elapsedNs = parts.monotonicNs() - state.startedNs;
  parts.onDecision(decision, { decisionId, elapsedNs, mode, request, unread: state.unread });
  return bytes;
}

function respondToFault(parts: CheckParts, error: unknown, state: CheckState): Uint8Array {
  try {
    parts.onFault(error, state.context.decisionId);
    return answer(parts, undecided(state), state);
  } catch {
    return FALLBACK_DENIAL;
  }
}
