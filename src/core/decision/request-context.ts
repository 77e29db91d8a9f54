import type { Presenter } from "../keys/key-binding.ts";
import type { FindLimits } from "../limits/applied-limits.ts";
import type { DemandsOf } from "../limits/limit-demands.ts";
import type { BucketStore, ChargedQuotas, LimitStore } from "../limits/ports.ts";
import type { OverrideFinder } from "../overrides/override-view.ts";
import type { Policy } from "../policy/policy.ts";
import type { Route } from "../policy/route-table.ts";
import type { Deny } from "./decision.ts";
import { deny } from "./decision.ts";
import type { JudgementContext, JudgementPorts } from "./judge-credential.ts";
import type { KeyVerifier } from "./ports.ts";
import type { AuthRequest } from "./request.ts";
import type { Trace } from "./trace.ts";

export interface AuthorizePorts extends JudgementPorts {
  readonly policy: () => Policy;
  readonly verifier: KeyVerifier;
  readonly overrides: OverrideFinder;
  /** Buckets and counters of quotas. */
  readonly buckets: LimitStore;
  /** Absent: a route that charges units is denied to keys with quotas of them. */
  readonly charged?: ChargedQuotas;
  /** Counts invalid credentials per client address, in this instance's memory. */
  readonly failures: BucketStore;
  /** The client's address, for everything that is counted per address. */
  readonly clientAddress: (request: Pick<AuthRequest, "headers" | "peerAddress">) => string;
  /** Called for each permitted request of a key with a plan that the policy does not have. */
  readonly onUnknownPlan?: (plan: string) => void;
}

/** A request and everything that its decision depends on. It presents the credential. */
export interface RequestContext extends JudgementContext, Presenter {
  readonly ports: AuthorizePorts;
  readonly request: AuthRequest;
  readonly findLimits: FindLimits;
  readonly demandsOf: DemandsOf;
  /** Undefined if no route matches. The response does not reveal this to an unauthenticated caller. */
  readonly route: Route | undefined;
}

export type DenyDetails = Omit<Deny, "verdict" | "reason" | "route">;

/** Denies at a step, which the trace shows. */
export function denyAt(
  context: RequestContext,
  step: Parameters<Trace>[0],
  observed: string,
  reason: Deny["reason"],
  details: DenyDetails = {},
): Deny {
  context.trace?.(step, observed, reason);
  return deny(reason, withRoute(context, details));
}

export function withRoute({ route }: RequestContext, details: DenyDetails): Omit<Deny, "verdict" | "reason"> {
  return route === undefined ? details : { ...details, route };
}
