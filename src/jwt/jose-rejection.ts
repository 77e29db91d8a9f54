import { errors } from "jose";
import type { TokenRejection } from "../core/decision/token-rejection.ts";

/** The rejection for each claim whose value jose checks. For all other claims jose only checks that they exist. */
const OF_CLAIMS: Readonly<Record<string, TokenRejection>> = {
  iss: "issuer_unknown",
  aud: "audience_wrong",
  nbf: "not_yet_valid",
  typ: "type_wrong",
};

/** Maps an error of jose to a rejection. Rethrows every other error. */
export function joseRejection(error: unknown): TokenRejection {
  if (error instanceof errors.JWSSignatureVerificationFailed) return "signature_wrong";
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported)
    return "algorithm_not_allowed";
  if (error instanceof errors.JWTClaimValidationFailed) {
    // `nbf` is not a number.
    if (error.claim === "nbf" && error.reason === "invalid") return "times_not_accepted";
    return Object.hasOwn(OF_CLAIMS, error.claim)
      ? (OF_CLAIMS[error.claim] ?? "times_not_accepted")
      : "times_not_accepted";
  }
  if (error instanceof errors.JOSEError) return "token_malformed";
  throw error;
}
