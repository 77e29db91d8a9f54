import type { AuditEventName } from "../audit/audit-event.ts";
import type { CommitDeps } from "./commit.ts";
import { commit, ensureDurable, retryOnConflict } from "./commit.ts";
import type { KeyPatch } from "./key-lifecycle.ts";
import { patchKey } from "./key-lifecycle.ts";
import type { KeyRecord } from "./key-record.ts";
import type { KeyView, StatusDeps } from "./key-view.ts";
import { viewOf, withLastUse } from "./key-view.ts";
import type { PolicyDeps } from "./new-key.ts";
import type { AuditDeps, CallOrigin } from "./operation-audit.ts";
import { auditEvent } from "./operation-audit.ts";
import { mayGrant } from "./operator.ts";
import type { KeyReader, LastUseReader } from "./ports.ts";
import type { DeniedOperation } from "./registry-denial.ts";
import { denied } from "./registry-denial.ts";

export type ShowDeps = StatusDeps & { readonly store: KeyReader & LastUseReader };

export type ChangeDeps = StatusDeps & CommitDeps & AuditDeps & PolicyDeps & { readonly store: KeyReader };

export async function showKey(deps: ShowDeps, keyId: string): Promise<KeyView | undefined> {
  const record = await deps.store.load(keyId);
  if (record === undefined) return undefined;
  const [view] = await withLastUse(deps, [viewOf(deps, record)]);
  return view;
}

/** Changes a key that the caller could have granted. A revoked key cannot be changed. */
export function changeKey(
  deps: ChangeDeps,
  keyId: string,
  patch: KeyPatch,
  origin: CallOrigin,
): Promise<KeyView | DeniedOperation> {
  return retryOnConflict<KeyView | DeniedOperation>(async () => {
    const current = await deps.store.load(keyId);
    if (current === undefined) return denied("key_unknown");
    const role = deps.policy().roles.get(current.role);
    const permitted =
      role === undefined
        ? origin.caller.kind === "admin"
        : mayGrant(origin.caller, current.scopes, role, deps.policy());
    if (!permitted) return denied("grant_refused");
    if (viewOf(deps, current).status === "revoked") return denied("key_revoked");
    const next = patchKey(current, patch);
    if (next === current) {
      await ensureDurable(deps);
      return viewOf(deps, current);
    }
    const audit = [auditEvent(deps, origin, eventOf(current, next), current)];
    const outcome = await commit(deps, { put: [next], audit });
    return outcome.kind === "committed" ? viewOf(deps, next) : "conflict";
  });
}

function eventOf(current: KeyRecord, next: KeyRecord): AuditEventName {
  if (current.disabled === next.disabled) return "key_changed";
  return next.disabled ? "key_disabled" : "key_enabled";
}
