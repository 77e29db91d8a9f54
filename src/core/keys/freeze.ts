import type { CommitDeps } from "./commit.ts";
import { commitUnconditionally } from "./commit.ts";
import type { Freeze } from "./key-change.ts";
import { nowSeconds } from "./key-dates.ts";
import type { AuditDeps, CallOrigin } from "./operation-audit.ts";
import { auditEvent } from "./operation-audit.ts";
import type { FreezeReader } from "./ports.ts";

export type FreezeDeps = CommitDeps & AuditDeps & { readonly store: FreezeReader };

/** Seconds: a forgotten freeze must not keep holders from refreshing their keys. */
export const MAX_FREEZE_SECONDS = 600;

/** Freezes the registry for at most {@link MAX_FREEZE_SECONDS}, from now. Returns when the freeze ends (NumericDate). */
export async function freezeRegistry(deps: FreezeDeps, seconds: number, origin: CallOrigin): Promise<number> {
  let until = 0;
  await commitUnconditionally(deps, () => {
    const from = nowSeconds(deps);
    until = from + Math.min(seconds, MAX_FREEZE_SECONDS);
    const event = auditEvent(deps, origin, "registry_frozen", {});
    return { put: [], freeze: { from, until }, audit: [{ ...event, reason: `${until - from}s` }] };
  });
  return until;
}

/** Ends a freeze. Changes nothing, not even the audit log, if the registry is not frozen. */
export async function thawRegistry(deps: FreezeDeps, origin: CallOrigin): Promise<void> {
  if ((await deps.store.frozenUntil(nowSeconds(deps))) === undefined) return;
  await commitUnconditionally(deps, () => ({
    put: [],
    freeze: "thaw",
    audit: [auditEvent(deps, origin, "registry_thawed", {})],
  }));
}

/** How a store writes a freeze. */
export function encodeFreeze({ from, until }: Freeze): string {
  return `${from} ${until}`;
}

/**
 * When a stored freeze ends; undefined if it does not apply now. If the store's clock steps back behind its start, it ends. A
 * smaller step prolongs it by that step.
 */
export function frozenUntil(text: string | undefined, nowSeconds: number): number | undefined {
  const [, from, until] = /^(\d+) (\d+)$/.exec(text ?? "") ?? [];
  const isFrozen = nowSeconds >= Number(from) - CLOCK_SLACK_SECONDS && nowSeconds < Number(until);
  return isFrozen ? Number(until) : undefined;
}

/** As `DECIDED_WITHIN_SECONDS`: the freeze was dated by an instance's estimate of the store's clock. */
const CLOCK_SLACK_SECONDS = 2;
