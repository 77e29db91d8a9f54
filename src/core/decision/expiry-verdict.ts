import type { Verification } from "./ports.ts";
import type { Principal } from "./principal.ts";

/**
 * The result of a verification after everything but the expiry has been checked. The end is exclusive: a key is expired from
 * its `exp` on.
 * @param toleranceSeconds how far the issuer's clock may differ from ours; 0 for our own keys
 */
export function expiryVerdict(principal: Principal, nowMs: number, toleranceSeconds = 0): Verification {
  return nowMs < (principal.expiresAt + toleranceSeconds) * 1000
    ? { ok: true, principal }
    : { ok: false, reason: "key_expired", principal };
}
