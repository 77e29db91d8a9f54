import type { MaybePromise } from "../maybe-promise.ts";
import type { Principal } from "./principal.ts";
import type { RejectedToken } from "./token-rejection.ts";

/** What a verifier says of a presented key. A failure is a value; an exception means that it could not tell. */
export type Verification =
  | { readonly ok: true; readonly principal: Principal }
  | {
      readonly ok: false;
      readonly reason: "credential_invalid" | "credential_unavailable";
      /** For operators alone. */
      readonly rejection?: RejectedToken;
    }
  /** Everything else about the key is good, so its holder may still revoke it. */
  | { readonly ok: false; readonly reason: "key_expired"; readonly principal: Principal };

export interface KeyVerifier {
  /**
   * Checks signature, issuer, audience, claims and times of one token, whatever it holds.
   * Answers at once for a token that it has seen. It knows nothing of revocation, roles or scopes. `client` is the address of
   * whoever presents it, which a look-up is charged to; absent where somebody asks for others.
   */
  verify(token: string, nowMs: number, client?: () => string): MaybePromise<Verification>;
  /** Whether {@link verify} would look the token up in the store now; absent where it never does. */
  needsStore?(token: string): boolean;
}
