import type { Principal } from "../../core/decision/principal.ts";

/** Keys that are in use and end soon: their holders have not refreshed them, although they could have for long. */
export interface ExpiringKeys {
  /** Hears of every key that is let through; for one that does not end soon it costs a comparison. */
  recordUse(principal: Principal, nowMs: number): void;
  /** How many of each role. */
  byRole(nowMs: number): ReadonlyMap<string, number>;
}

/** The last part of the time in which a key may be refreshed. */
const LAST_PART = 1 / 4;
/** V1 keys cannot be refreshed, but exchanged. */
const LEGACY_WARNING_SECONDS = 7 * 86_400;
/** A key that was not used for so long has perhaps been replaced. */
const IN_USE_MS = 3_600_000;
/** Beyond so many no further ones are noticed: the number says enough. */
const MAX_KEYS = 10_000;

interface EndingKey {
  readonly role: string;
  readonly expiresAt: number;
  usedMs: number;
}

export function createEndingKeys(): ExpiringKeys {
  const keys = new Map<string, EndingKey>();
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
