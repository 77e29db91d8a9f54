import type { AuditEvent, AuditEventName } from "../audit/audit-event.ts";
import type { KeyRecord } from "./key-record.ts";
import type { Caller } from "./operator.ts";
import { callerName } from "./operator.ts";
import type { RegistryDenial } from "./registry-denial.ts";

/** The caller of an operation, for the audit. */
export interface CallOrigin {
  readonly caller: Caller;
  readonly address?: string;
  readonly requestId?: string;
}

export interface AuditDeps {
  readonly nowMs: () => number;
  /** 22 letters and digits: at least 128 random bits. */
  readonly newRandom: () => string;
}

/** The audit event of an operation on a key, a family or an owner. */
export function auditEvent(
  deps: AuditDeps,
  origin: CallOrigin,
  event: AuditEventName,
  subject: Partial<Pick<KeyRecord, "keyId" | "family" | "owner" | "role" | "plan">>,
  denial?: RegistryDenial,
): AuditEvent {
  const { keyId, family, owner, role, plan } = subject;
  return {
    eventId: deps.newRandom(),
    atMs: deps.nowMs(),
    event,
    outcome: denial === undefined ? "done" : "refused",
    ...(denial === undefined ? {} : { reason: denial }),
    actor: callerName(origin.caller),
    ...(origin.address === undefined ? {} : { address: origin.address }),
    ...(origin.requestId === undefined ? {} : { requestId: origin.requestId }),
    ...(keyId === undefined ? {} : { keyId }),
    ...(family === undefined ? {} : { family }),
    ...(owner === undefined ? {} : { owner }),
    ...(role === undefined ? {} : { role }),
    ...(plan === undefined ? {} : { plan }),
  };
}
