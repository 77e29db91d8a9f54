import type { FastifyReply, FastifyRequest } from "fastify";
import { addressGroup } from "../core/client-address.ts";
import type { Caller, OperatorScope } from "../core/operator.ts";
import { callerHas } from "../core/operator.ts";
import type { BucketStore } from "../core/ports.ts";
import type { CallOrigin, Registry, RegistryRefusal } from "../core/registry.ts";
import type { CallerPorts, Holder } from "./caller.ts";
import { addressOf, callerOf } from "./caller.ts";
import type { ProblemName } from "./problem.ts";
import { sendProblem } from "./problem.ts";

/** What every call of the key API works with. */
export interface ApiPorts extends CallerPorts {
  readonly registry: Registry;
  /** Counts calls without a good credential, in this instance's memory. */
  readonly guard: BucketStore;
  readonly counters: CallCounters;
}

/** Hears what calls have done to keys. */
export interface CallCounters {
  issued(role: string, how: "registered" | "refreshed" | "rotated" | "migrated"): void;
  /** A role where the presented key was good. */
  refreshed(role: string | undefined, result: "refreshed" | "again" | ProblemName | RegistryRefusal): void;
  revoked(by: "holder" | "operator" | "cut_off"): void;
}

/** Refuses a call for which no credential vouches; too many of those from one address are told so instead. */
export async function refuseOpen(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: ApiPorts,
  problem: ProblemName,
): Promise<FastifyReply> {
  const waitSeconds = await chargeOpen(request, ports);
  return waitSeconds === 0 ? sendProblem(reply, problem) : sendTooMany(reply, waitSeconds);
}

export function sendTooMany(reply: FastifyReply, retryAfterSeconds: number): FastifyReply {
  return sendProblem(reply, "too_many_calls", { retryAfterSeconds });
}

/** Counts one call without a good credential; whole seconds to wait when there were too many, else 0. */
export async function chargeOpen(request: FastifyRequest, ports: ApiPorts): Promise<number> {
  const limit = {
    name: "open-calls",
    per: "address",
    leased: false,
    ...ports.policy().guards.openCalls,
  } as const;
  const demand = { bucketId: `open:${addressGroup(addressOf(request, ports))}`, limit };
  const taken = await ports.guard.take([demand], 1, ports.nowMs());
  return taken.ok ? 0 : taken.retryAfterSeconds;
}

/** The operator who calls, or undefined once the refusal has been sent. */
export async function operatorOf(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: ApiPorts,
  scope: OperatorScope,
): Promise<Caller | undefined> {
  const found = await callerOf(request, ports);
  if (!found.ok) await refuseOpen(request, reply, ports, found.problem);
  else if (found.caller.kind === "anonymous") await refuseOpen(request, reply, ports, "operator_required");
  else if (!callerHas(found.caller, scope)) sendProblem(reply, "operator_scope_missing");
  else return found.caller;
  return undefined;
}

/** Where a call came from, for the audit. */
export function originOf(request: FastifyRequest, caller: Caller, ports: CallerPorts): CallOrigin {
  return { caller, address: addressOf(request, ports), requestId: request.id };
}

/** Whoever holds a key acts in its name. */
export function originOfHolder(request: FastifyRequest, holder: Holder, ports: CallerPorts): CallOrigin {
  const { principal, role, scopes } = holder;
  return originOf(request, { kind: "key", id: principal.keyId, role, scopes }, ports);
}

/** The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header), whatever stands in it. */
export function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const value = request.headers["idempotency-key"];
  return typeof value === "string" && value !== "" ? value : undefined;
}
