import type { LimitList } from "../policy/policy.ts";
import type { Route } from "../policy/route-table.ts";
import type { RateStatus } from "./decision.ts";
import type { Principal } from "./principal.ts";
import type { AuthRequest } from "./request.ts";
import type { RejectedToken } from "./token-rejection.ts";
import { TOKEN_REJECTIONS } from "./token-rejection.ts";

/** The steps of a decision, in their order. */
export type StepName =
  | "request"
  | "route"
  | "credential"
  | "transport"
  | "key"
  | "revocation"
  | "binding"
  | "role"
  | "scopes"
  | "plan"
  | "limits";

/**
 * Called once for each step. `observed` describes the input of the step. `outcome` is a few words, or the reason of the denial.
 */
export type Trace = (step: StepName, observed: string, outcome: string) => void;

export interface ExplainedStep {
  readonly step: StepName;
  readonly observed: string;
  readonly outcome: string;
}

/** Without the query, which may contain the key. */
export function describeRequest({
  method,
  scheme,
  host,
  path,
}: Pick<AuthRequest, "method" | "scheme" | "host" | "path">): string {
  return `${method} ${scheme}://${host}${path.path}`;
}

export function describeRoute(route: Route | undefined): string {
  if (route === undefined) return "no route of the policy";
  const { label, pattern, scopes, anyScope, mode } = route;
  return [
    label === pattern ? pattern : `${label} (${pattern})`,
    ...(scopes.length > 0 ? [`needs ${scopes.join(" ")}`] : []),
    ...(anyScope.length > 0 ? [`needs one of ${anyScope.join(" ")}`] : []),
    describeCost(route),
    ...(mode === "shadow" ? ["shadow: every decision lets the request through"] : []),
  ].join(", ");
}

/** What a request takes, reserves and is charged for later. */
export function describeCost({
  cost,
  charges,
  reserve,
}: Pick<Route, "cost" | "charges" | "reserve">): string {
  return [
    `cost ${cost}`,
    ...(reserve ? [`reserves ${reserve.amount} ${reserve.unit}`] : []),
    ...(charges.length > 0 ? [`charges ${charges.join(" ")} after the response`] : []),
  ].join(", ");
}

export function describeKey({ keyId, role, owner, family }: Principal): string {
  return `${keyId}, role ${role}, ${owner === undefined ? `family ${family}` : `owner ${owner}`}`;
}

/** @param rejection undefined for an expired key */
export function describeRejection(rejection: RejectedToken | undefined): string {
  if (rejection === undefined) return "a key";
  const { cause, issuer } = rejection;
  const token = issuer === undefined ? "an invalid key" : `a token of the issuer ${issuer}`;
  return `${token}: ${TOKEN_REJECTIONS[cause]} (${cause})`;
}

export function describeBinding({ nets = [], certificate }: Principal): string {
  return [...nets, ...(certificate === undefined ? [] : [`certificate ${certificate}`])].join(", ");
}

export function describeScopes(granted: readonly string[]): string {
  return granted.length === 0 ? "no scope that its role still has" : granted.join(" ");
}

/** The limits and quotas that follow from a plan or a role. */
export function describeLimitList({ rateLimits, quotas }: LimitList): string {
  const limits = rateLimits.map(({ name, per, capacity }) => `${name}: ${capacity} per ${per}`);
  const amounts = quotas.map(
    ({ name, per, limit, unit, every }) => `${name}: ${limit} ${unit} per ${per} and ${every}`,
  );
  return [...limits, ...amounts].join(", ") || "no limits";
}

export function describeLimits(rates: readonly RateStatus[]): string {
  return rates.length === 0
    ? "no limits"
    : rates.map(({ name, remaining, capacity }) => `${name}: ${remaining} of ${capacity}`).join(", ");
}
