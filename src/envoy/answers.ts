import type { Allow, Decision } from "../core/decision.ts";
import type { Mode } from "../core/policy.ts";
import type { Principal } from "../core/principal.ts";
import type { Route } from "../core/route-table.ts";
import type { AllowPart } from "./allow-parts.ts";
import { answerPart, keyPart, NOTHING, requestPart, routePart } from "./allow-parts.ts";
import type { AnswerContext } from "./answer-context.ts";
import type { AllowBytes } from "./check-response.ts";
import { encodeCheckResponse, joinAllow, okBytes, plainBytes } from "./check-response.ts";
import { toCheckResponse } from "./response.ts";

/** Keys whose part of the answer is kept: some 700 bytes each. Only those used of late, for it is quickly made. */
const MAX_KEYS = 4096;

/** The bytes of an answer: those of `toCheckResponse`, a property test says. In shadow mode everything lets through. */
export type EncodeAnswer = (decision: Decision, context: AnswerContext, mode: Mode) => Buffer;

/** Most of an allow is the same for one key, and for one route: that is encoded once, and the rest put behind it. */
export function createAnswers(maxKeys = MAX_KEYS): EncodeAnswer {
  const keys = createRecent<Principal, KeyBytes>(maxKeys);
  const routes = new WeakMap<Route, RouteBytes>();
  return (decision, context, mode) => {
    if (mode === "shadow" || decision.verdict !== "allow")
      return encodeCheckResponse(toCheckResponse(decision, context, mode));
    const request = requestPart(decision, context);
    const parts = [
      keyBytes(keys, decision, context),
      routeBytes(routes, decision.route, context),
      partBytes(answerPart(decision, context)),
    ];
    return joinAllow(request === NOTHING ? parts : [...parts, partBytes(request)]);
  };
}

interface KeyBytes extends AllowBytes {
  readonly scopes: readonly string[];
  readonly forwardPrefix: string;
}

function keyBytes(keys: Recent<Principal, KeyBytes>, decision: Allow, context: AnswerContext): AllowBytes {
  const { principal, scopes } = decision;
  const { forwardPrefix } = context;
  const known = principal && keys.get(principal);
  if (known?.forwardPrefix === forwardPrefix && sameList(known.scopes, scopes)) return known;
  const made = { ...partBytes(keyPart(decision, context)), scopes, forwardPrefix };
  if (principal !== undefined) keys.set(principal, made);
  return made;
}

interface RouteBytes extends AllowBytes {
  readonly forwardPrefix: string;
  readonly credentialSources: AnswerContext["credentialSources"];
}

function routeBytes(routes: WeakMap<Route, RouteBytes>, route: Route, context: AnswerContext): AllowBytes {
  const { forwardPrefix, credentialSources } = context;
  const known = routes.get(route);
  if (known?.forwardPrefix === forwardPrefix && known.credentialSources === credentialSources) return known;
  const made = { ...partBytes(routePart(route, context)), forwardPrefix, credentialSources };
  routes.set(route, made);
  return made;
}

function partBytes({ ok, metadata }: AllowPart): AllowBytes {
  return { ok: okBytes(ok), metadata: plainBytes(metadata) };
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((item, index) => item === b[index]));
}

interface Recent<Key, Value> {
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
}

/** Keeps what was used of late, at most `max`: when half of that is full, what was not used since the half before goes. */
function createRecent<Key, Value>(max: number): Recent<Key, Value> {
  let current = new Map<Key, Value>();
  let former = new Map<Key, Value>();
  const set = (key: Key, value: Value) => {
    if (current.size >= max / 2) [former, current] = [current, new Map()];
    current.set(key, value);
  };
  return {
    set,
    get(key) {
      const found = current.get(key);
      if (found !== undefined) return found;
      const older = former.get(key);
      if (older !== undefined) set(key, older);
      return older;
    },
  };
}
