import type { Principal } from "../../core/decision/principal.ts";

/** Counts keys that are in use and expire soon, because their holders have not refreshed them. */
export interface ExpiringKeys {
  /** Call for every allowed key. For a key that does not expire soon it costs one comparison. */
  recordUse(principal: Principal, nowMs: number): void;
  /** The number of keys of each role. */
  byRole(nowMs: number): ReadonlyMap<string, number>;
}

/** The last part of the refresh window. */
const LAST_PART = 1 / 4;
/** V1 keys cannot be refreshed; they are exchanged instead. */
const LEGACY_WARNING_SECONDS = 7 * 86_400;
/** A key that was not used for this time may have been replaced. */
const IN_USE_MS = 3_600_000;
/** Further keys are not counted, because the number is large enough to act on. */
const MAX_KEYS = 10_000;

interface ExpiringKey {
  readonly role: string;
  readonly expiresAt: number;
  usedMs: number;
}

export function createExpiringKeys(): ExpiringKeys {
  const keys = new Map<string, ExpiringKey>();
  return {
    recordUse(principal, nowMs) {
      const { keyId, role, expiresAt } = principal;
      if (expiresAt * 1000 - nowMs > warningSeconds(principal) * 1000) return;
      const known = keys.get(keyId);
      if (known !== undefined) known.usedMs = nowMs;
      else if (keys.size < MAX_KEYS) keys.set(keyId, { role, expiresAt, usedMs: nowMs });
    },
    byRole(nowMs) {
      const counts = new Map<string, number>();
      for (const [keyId, { role, expiresAt, usedMs }] of keys) {
        if (expiresAt * 1000 <= nowMs || usedMs < nowMs - IN_USE_MS) keys.delete(keyId);
        else counts.set(role, (counts.get(role) ?? 0) + 1);
      }
      return counts;
    },
  };
}

function warningSeconds({ legacy, refreshAfter, expiresAt }: Principal): number {
  return legacy === undefined ? (expiresAt - refreshAfter) * LAST_PART : LEGACY_WARNING_SECONDS;
}
