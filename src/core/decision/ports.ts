import type { MaybePromise } from "../maybe-promise.ts";
import type { Principal } from "./principal.ts";
import type { RejectedToken } from "./token-rejection.ts";

/** The result of a verification. An invalid key is a value. An exception is a fault of the verifier. */
export type Verification =
  | { readonly ok: true; readonly principal: Principal }
  | {
      readonly ok: false;
      readonly reason: "credential_invalid" | "credential_unavailable";
      /** For operators only. */
      readonly rejection?: RejectedToken;
    }
  /** The key is valid in everything else, so its holder may still revoke it. */
  | { readonly ok: false; readonly reason: "key_expired"; readonly principal: Principal };

export interface KeyVerifier {
  /**
   * Checks signature, issuer, audience, claims and times of one token, which may be any text. Does not check revocation, role
   * or scopes. Returns a cached result without a promise.
   * @param client the presenting client's address, which a look-up is charged to; absent for introspection
   */
  verify(token: string, nowMs: number, client?: () => string): MaybePromise<Verification>;
  /** Whether {@link verify} would look the token up in the store now; absent if it never does. */
  needsStore?(token: string): boolean;
}
