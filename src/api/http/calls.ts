import type { FastifyRequest } from "fastify";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { Caller } from "../../core/keys/operator.ts";
import type { Registry } from "../../core/keys/registry.ts";
import type { RegistryDenial } from "../../core/keys/registry-denial.ts";
import type { CallerPorts, Holder } from "./caller.ts";
import type { ProblemName } from "./problem.ts";
import { addressOf } from "./request-facts.ts";

/** The dependencies that all calls of the key API share. */
export interface ApiPorts extends CallerPorts {
  readonly registry: Registry;
  readonly counters: CallCounters;
}

/** Counts the keys that calls issue, refresh and revoke. */
export interface CallCounters {
  issued(role: string, how: "registered" | "refreshed" | "rotated" | "migrated"): void;
  /** `role` is given if the presented key was valid. */
  refreshed(role: string | undefined, result: "refreshed" | "replayed" | ProblemName | RegistryDenial): void;
  revoked(by: "holder" | "operator" | "cut_off"): void;
}

/** The origin of a call, for the audit log. */
export function originOf(request: FastifyRequest, caller: Caller, ports: CallerPorts): CallOrigin {
  return { caller, address: addressOf(request, ports), requestId: request.id };
}

/** The origin of a call that the holder of a key makes. */
export function originOfHolder(request: FastifyRequest, holder: Holder, ports: CallerPorts): CallOrigin {
  const { principal, role, scopes } = holder;
  return originOf(request, { kind: "key", id: principal.keyId, role, scopes }, ports);
}

/** The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header), with any value. */
export function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const value = request.headers["idempotency-key"];
  return typeof value === "string" && value !== "" ? value : undefined;
}
