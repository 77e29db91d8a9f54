import { createClockCache } from "../core/cache/clock-cache.ts";
import { memoize } from "../core/cache/memoize.ts";
import { createRepeats } from "../core/cache/repeats.ts";
import type { Allow, Decision, RateStatus } from "../core/decision/decision.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { Mode } from "../core/policy/policy.ts";
import type { Route } from "../core/policy/route-table.ts";
import { createTemplate, doubleBytes, flatten } from "../grpc/protobuf-writer.ts";
import type { AllowFragment } from "./allow-fragments.ts";
import { EMPTY, noticeFragment, remainingOf, requestFragment, routeFragment } from "./allow-fragments.ts";
import type { AllowBytes } from "./check-response-encoder.ts";
import { encodeCheckResponse, joinAllow, okBytes, plainBytes } from "./check-response-encoder.ts";
import { denyResponse, shadowResponse } from "./deny-response.ts";
import { overwrite } from "./header-options.ts";
import { createKeyEncoder, sameLimits } from "./key-bytes.ts";
import { limitField } from "./rate-limit-headers.ts";
import type { ResponseContext } from "./response-context.ts";
import type { TicketIssuer } from "./ticket-fragment.ts";
import { ticketFragment } from "./ticket-fragment.ts";

/** Maximum number of cached key fragments, of some 700 bytes each. Only recently used keys are kept, as encoding one is fast. */
const MAX_KEYS = 4096;

/** Encodes the response to a decision. In shadow mode every response lets the request through. */
export type EncodeResponse = (decision: Decision, context: ResponseContext, mode: Mode) => Buffer;

/** Most of an allow depends only on the key, or only on the route. These fragments are encoded once and cached. */
export function createResponseEncoder(tickets?: TicketIssuer, maxKeys = MAX_KEYS): EncodeResponse {
  const keys = createKeyCache(maxKeys);
  const routes = new WeakMap<Route, RouteBytes>();
  return (decision, context, mode) => {
    if (mode === "shadow") return encodeCheckResponse(shadowResponse(decision, context, tickets));
    if (decision.verdict !== "allow") return encodeCheckResponse(denyResponse(decision, context));
    const bytes = [
      keys(decision, context),
      routeBytes(routes, decision.route, context),
      decisionBytes(decision, context),
    ];
    if (decision.charge !== undefined) bytes.push(encodeFragment(ticketFragment(decision, context, tickets)));
    const request = requestFragment(decision, context);
    if (request !== EMPTY) bytes.push(encodeFragment(request));
    const notice = noticeFragment(decision, context);
    if (notice !== EMPTY) bytes.push(encodeFragment(notice));
    return joinAllow(bytes);
  };
}

/** What depends on the decision: its id, and the tokens left. Encoded without creating a fragment object. */
function decisionBytes({ rates }: Allow, { decisionId, forwardPrefix }: ResponseContext): AllowBytes {
  const ok = decisionIdHeader(forwardPrefix)(decisionId);
  const metadata = decisionIdMetadata(decisionId);
  if (rates.length === 0) return { ok, metadata };
  return {
    ok: ok + limitHeader(limitField(rates)),
    metadata: metadata + REMAINING + doubleBytes(remainingOf(rates)),
  };
}

const decisionIdHeader = memoize(16, (prefix) =>
  createTemplate((id) => okBytes({ headers: [overwrite(`${prefix}decision-id`, id)] })),
);
const limitHeader = createTemplate((value) =>
  okBytes({ response_headers_to_add: [overwrite("ratelimit", value)] }),
);
const decisionIdMetadata = createTemplate((id) => plainBytes({ decision_id: id }));
/** The metadata member without its value. */
const REMAINING = plainBytes({ remaining: 0 }).slice(0, -doubleBytes(0).length);

interface KeyBytes extends AllowBytes {
  readonly scopes: readonly string[];
  /** Compared by their limits, not by the tokens left. */
  readonly rates: readonly RateStatus[];
  readonly forwardPrefix: string;
}

/** The key fragment, which is kept from the second use of a key on. */
function createKeyCache(maxKeys: number): (decision: Allow, context: ResponseContext) => AllowBytes {
  const kept = createClockCache<Principal, KeyBytes>(maxKeys);
  const isRepeated = createRepeats<Principal>(({ keyId }) => keyId);
  const encodeKey = createKeyEncoder();
  return (decision, { forwardPrefix }) => {
    const { principal, scopes, rates } = decision;
    const cached = principal && kept.get(principal);
    if (
      cached?.forwardPrefix === forwardPrefix &&
      sameList(cached.scopes, scopes) &&
      sameLimits(cached.rates, rates)
    )
      return cached;
    const bytes = encodeKey(decision, forwardPrefix);
    if (principal === undefined || !isRepeated(principal)) return bytes;
    const flat = { ...flattened(bytes), scopes, rates, forwardPrefix };
    kept.set(principal, flat);
    return flat;
  };
}

interface RouteBytes extends AllowBytes {
  readonly forwardPrefix: string;
  readonly credentialSources: ResponseContext["credentialSources"];
}

function routeBytes(routes: WeakMap<Route, RouteBytes>, route: Route, context: ResponseContext): AllowBytes {
  const { forwardPrefix, credentialSources } = context;
  const cached = routes.get(route);
  if (cached?.forwardPrefix === forwardPrefix && cached.credentialSources === credentialSources)
    return cached;
  const bytes = {
    ...flattened(encodeFragment(routeFragment(route, context))),
    forwardPrefix,
    credentialSources,
  };
  routes.set(route, bytes);
  return bytes;
}

function encodeFragment({ ok, metadata }: AllowFragment): AllowBytes {
  return { ok: okBytes(ok), metadata: plainBytes(metadata) };
}

/** V8 would flatten a cached string for each response. */
function flattened({ ok, metadata }: AllowBytes): AllowBytes {
  return { ok: flatten(ok), metadata: flatten(metadata) };
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((item, index) => item === b[index]));
}
