import type { FastifyRequest } from "fastify";
import type { RegistryDenial } from "../../core/keys/denial.ts";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { Caller } from "../../core/keys/operator.ts";
import type { Registry } from "../../core/keys/registry.ts";
import type { CallerPorts, Holder } from "./caller.ts";
import type { ProblemName } from "./problem.ts";
import { addressOf } from "./request-facts.ts";

/** What every call of the key API works with. */
export interface ApiPorts extends CallerPorts {
  readonly registry: Registry;
  readonly counters: CallCounters;
}

/** Hears what calls have done to keys. */
export interface CallCounters {
  issued(role: string, how: "registered" | "refreshed" | "rotated" | "migrated"): void;
  /** A role where the presented key was good. */
  refreshed(role: string | undefined, result: "refreshed" | "replayed" | ProblemName | RegistryDenial): void;
  revoked(by: "holder" | "operator" | "cut_off"): void;
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
