import type { CheckFacts } from "../core/audit/ports.ts";
import type { Authorize } from "../core/decision/authorize.ts";
import type { Decision } from "../core/decision/decision.ts";
import { deny } from "../core/decision/decision.ts";
import type { UnparsedRequest } from "../core/decision/request.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import type { Mode, Policy } from "../core/policy/policy.ts";
import { responseBudgetMs } from "../core/timeout.ts";
import { toAuthRequest } from "./auth-request.ts";
import type { ReceivedCheck } from "./check-request-decoder.ts";
import { canStripCookies } from "./credential-removal.ts";
import { createPendingChecks } from "./pending-checks.ts";
import type { ResponseContext } from "./response-context.ts";

/** How a transport reads a request and writes the response. */
export interface Transport<Message, Response> {
  /** The name of the call, for traces. Undefined: a message that could not be received. */
  readonly operation: (message: Message | undefined) => string;
  /** Throws a RangeError if the message describes no request. */
  readonly decode: (message: Message) => ReceivedCheck;
  readonly encode: (decision: Decision, context: ResponseContext, mode: Mode) => Response;
  /** The response if encoding a denial fails as well. It denies. */
  readonly fallback: Response;
}

/** Decides one request. A message that could not be received is denied. Never throws and never rejects. */
export type Decide<Message, Response> = (
  message: Message | undefined,
  timeLeftMs: number,
) => MaybePromise<Response>;

export interface CheckPorts {
  readonly policy: () => Policy;
  readonly authorize: Authorize;
  readonly nowMs: () => number;
  /** Monotonic nanoseconds. */
  readonly monotonicNs: () => bigint;
  readonly newDecisionId: () => string;
  /** Called with every decision before the response is sent. If it throws, the request is denied. */
  readonly onDecision: (decision: Decision, facts: CheckFacts) => void;
  /** Called with every fault that became a denial. */
  readonly onFault: (error: unknown, decisionId: string) => void;
  /** Called when a message does not decode, which is an error of its sender and not a fault. */
  readonly onUndecodable: (error: RangeError, decisionId: string) => void;
}

/** Envoy and other proxies share these steps. Only the form of the message and of the response differs. */
export function createDecide<Message, Response>(
  ports: CheckPorts,
  transport: Transport<Message, Response>,
): Decide<Message, Response> {
  const deps = { ...ports, ...transport };
  const pending = createPendingChecks();
  return (message, timeLeftMs) => {
    const state: CheckState = {
      operation: transport.operation(message),
      startedNs: 0n,
      policy: undefined,
      context: EMPTY_CONTEXT,
      unparsed: undefined,
    };
    try {
      if (pending.isFull()) return respond(deps, denyOverload(deps, state), state);
      const decision = decide(deps, message, state);
      if (!(decision instanceof Promise)) return respond(deps, decision, state);
      return pending.respondWithin(decision, responseBudgetMs(timeLeftMs), {
        decided: (settled) => respondSafely(deps, () => settled, state),
        failed: (error) => respondToFault(deps, error, state),
        late: () => respondSafely(deps, () => denyUndecided(state), state),
      });
    } catch (error) {
      return respondToFault(deps, error, state);
    }
  };
}

interface DecideDeps<Message, Response> extends CheckPorts, Transport<Message, Response> {}

/** The state of one Check so far. The response to a fault uses the parts that exist. */
interface CheckState {
  readonly operation: string;
  startedNs: bigint;
  /** Undefined before the Check has begun. */
  policy: Policy | undefined;
  context: CheckContext;
  unparsed: UnparsedRequest | undefined;
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

function decide<Message, Response>(
  deps: DecideDeps<Message, Response>,
  message: Message | undefined,
  state: CheckState,
): MaybePromise<Decision> {
  const policy = begin(deps, state);
  if (message === undefined) return deny("request_malformed");
  const received = tryDecode(deps, message, state.context.decisionId);
  if (received === undefined) return deny("request_malformed");
  const { context } = state;
  const parsed = toAuthRequest(received, policy.pathParams);
  if (!parsed.ok) {
    context.grpc = parsed.grpc;
    state.unparsed = parsed.unparsed;
    return deny("request_malformed");
  }
  const { request } = parsed;
  context.request = request;
  context.grpc = request.grpc;
  if (!canStripCookies(request, policy.credentialSources)) return deny("request_malformed");
  return deps.authorize(request, deps.nowMs());
}

function denyOverload(deps: CheckPorts, state: CheckState): Decision {
  begin(deps, state);
  return deny("internal");
}

/** Undefined if the message does not decode. */
function tryDecode<Message, Response>(
  { decode, onUndecodable }: DecideDeps<Message, Response>,
  message: Message,
  decisionId: string,
): ReceivedCheck | undefined {
  try {
    return decode(message);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    onUndecodable(error, decisionId);
    return undefined;
  }
}

/** Sets the part of the state that does not depend on the request. */
function begin(deps: CheckPorts, state: CheckState): Policy {
  state.startedNs = deps.monotonicNs();
  const policy = deps.policy();
  const { forwardPrefix, legacyRateLimit, credentialSources } = policy;
  const decisionId = deps.newDecisionId();
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

/** Denies a late or failed decision. The denial has the route, because a route in shadow mode lets the request through. */
function denyUndecided({ policy, context: { request } }: CheckState): Decision {
  const route = request && policy?.routes.find(request);
  return deny("internal", route && { route });
}

function respond<Message, Response>(
  deps: DecideDeps<Message, Response>,
  decision: Decision,
  state: CheckState,
): Response {
  const mode = decision.route?.mode ?? state.policy?.mode ?? "enforce";
  const response = deps.encode(decision, state.context, mode);
  const { decisionId, request } = state.context;
  const elapsedNs = deps.monotonicNs() - state.startedNs;
  const { operation, unparsed: unread } = state;
  deps.onDecision(decision, { decisionId, operation, elapsedNs, mode, request, unread });
  return response;
}

/** Responds to a decision, or to the fault of making it or its response. */
function respondSafely<Message, Response>(
  deps: DecideDeps<Message, Response>,
  decision: () => Decision,
  state: CheckState,
): Response {
  try {
    return respond(deps, decision(), state);
  } catch (error) {
    return respondToFault(deps, error, state);
  }
}

function respondToFault<Message, Response>(
  deps: DecideDeps<Message, Response>,
  error: unknown,
  state: CheckState,
): Response {
  try {
    deps.onFault(error, state.context.decisionId);
    return respond(deps, denyUndecided(state), state);
  } catch {
    return deps.fallback;
  }
}
