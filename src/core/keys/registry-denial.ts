import type { RefreshDenial } from "./refresh-rule.ts";

/** Why the registry denies an operation. */
export type RegistryDenial =
  | RefreshDenial
  | "role_unknown"
  | "scope_unknown"
  | "ttl_too_long"
  | "plan_unknown"
  | "quota_unknown"
  | "override_protected"
  | "too_many_overrides"
  | "changed_meanwhile"
  | "plan_not_assignable"
  | "operator_required"
  | "grant_refused"
  | "idempotency_key_reused"
  | "idempotency_key_weak"
  | "too_many_keys"
  | "too_many_owner_keys"
  | "legacy_removed"
  | "key_unknown";

export interface DeniedOperation {
  readonly kind: "refused";
  readonly reason: RegistryDenial;
  /** With `refresh_too_early`: the NumericDate from which the key can be refreshed. */
  readonly refreshAfter?: number;
}

export function denied(reason: RegistryDenial): DeniedOperation {
  return { kind: "refused", reason };
}
