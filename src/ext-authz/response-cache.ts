import type { ClockCache } from "../core/cache/clock-cache.ts";
import { createClockCache } from "../core/cache/clock-cache.ts";
import { memoize } from "../core/cache/memoize.ts";
import type { Allow, Decision, RateStatus } from "../core/decision/decision.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { Mode } from "../core/policy/policy.ts";
import type { Route } from "../core/policy/route-table.ts";
import { createTemplate, doubleBytes, flatten } from "../grpc/protobuf-writer.ts";
import type { AllowFragment } from "./allow-fragments.ts";
import {
  keyFragment,
  NOTHING,
  noticeFragment,
  remainingOf,
  requestFragment,
  routeFragment,
} from "./allow-fragments.ts";
import type { AllowBytes } from "./check-response-encoder.ts";
import { encodeCheckResponse, joinAllow, okBytes, plainBytes } from "./check-response-encoder.ts";
import { overwrite } from "./header-options.ts";
import { limitField } from "./rate-limit-headers.ts";
import { toCheckResponse } from "./response.ts";
import type { ResponseContext } from "./response-context.ts";

/** Keys whose part of the answer is kept: some 700 bytes each. Only those used of late, for it is quickly made. */
const MAX_KEYS = 4096;

/** The bytes of an answer: those of `toCheckResponse`, a property test says. In shadow mode everything lets through. */
export type EncodeResponse = (decision: Decision, context: ResponseContext, mode: Mode) => Buffer;

/** Most of an allow is the same for one key, and for one route: that is encoded once, and the rest put behind it. */
export function createResponseEncoder(maxKeys = MAX_KEYS): EncodeResponse {
  const keys = createClockCache<Principal, KeyBytes>(maxKeys);
  const routes = new WeakMap<Route, RouteBytes>();
  return (decision, context, mode) => {
    if (mode === "shadow" || decision.verdict !== "allow")
      return encodeCheckResponse(toCheckResponse(decision, context, mode));
    const parts = [
      keyBytes(keys, decision, context),
      routeBytes(routes, decision.route, context),
      responseBytes(decision, context),
    ];
    for (const part of [requestFragment(decision, context), noticeFragment(decision, context)])
      if (part !== NOTHING) parts.push(partBytes(part));
    return joinAllow(parts);
  };
}

/** Bytes of `answerPart`, for which none of its objects is made. */
function responseBytes({ rates }: Allow, { decisionId, forwardPrefix }: ResponseContext): AllowBytes {
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
/** All of the member but its value. */
const REMAINING = plainBytes({ remaining: 0 }).slice(0, -doubleBytes(0).length);

interface KeyBytes extends AllowBytes {
  readonly scopes: readonly string[];
  /** Of them their limits alone, not what is left. */
  readonly rates: readonly RateStatus[];
  readonly forwardPrefix: string;
}

function keyBytes(
  keys: ClockCache<Principal, KeyBytes>,
  decision: Allow,
  context: ResponseContext,
): AllowBytes {
  const { principal, scopes, rates } = decision;
  const { forwardPrefix } = context;
  const known = principal && keys.get(principal);
  if (
    known?.forwardPrefix === forwardPrefix &&
    sameList(known.scopes, scopes) &&
    sameLimits(known.rates, rates)
  )
    return known;
  const made = { ...keptBytes(keyFragment(decision, context)), scopes, rates, forwardPrefix };
  if (principal !== undefined) keys.set(principal, made);
  return made;
}

interface RouteBytes extends AllowBytes {
  readonly forwardPrefix: string;
  readonly credentialSources: ResponseContext["credentialSources"];
}

function routeBytes(routes: WeakMap<Route, RouteBytes>, route: Route, context: ResponseContext): AllowBytes {
  const { forwardPrefix, credentialSources } = context;
  const known = routes.get(route);
  if (known?.forwardPrefix === forwardPrefix && known.credentialSources === credentialSources) return known;
  const made = { ...keptBytes(routeFragment(route, context)), forwardPrefix, credentialSources };
  routes.set(route, made);
  return made;
}

function partBytes({ ok, metadata }: AllowFragment): AllowBytes {
  return { ok: okBytes(ok), metadata: plainBytes(metadata) };
}

/** In one piece, which V8 is not left to put together each time. */
function keptBytes(part: AllowFragment): AllowBytes {
  const { ok, metadata } = partBytes(part);
  return { ok: flatten(ok), metadata: flatten(metadata) };
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((item, index) => item === b[index]));
}

function sameLimits(a: readonly RateStatus[], b: readonly RateStatus[]): boolean {
  if (a.length !== b.length) return false;
  for (const [index, { name, capacity, windowSeconds }] of a.entries()) {
    const other = b[index];
    if (other?.name !== name || other.capacity !== capacity || other.windowSeconds !== windowSeconds)
      return false;
  }
  return true;
}
