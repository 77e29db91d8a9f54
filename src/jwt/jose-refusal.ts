import { errors } from "jose";
import type { TokenRejection } from "../core/decision/token-rejection.ts";

/** What a claim that jose refuses means; of all others it has only looked whether they are there. */
const OF_CLAIMS: Readonly<Record<string, TokenRejection>> = {
  iss: "issuer_unknown",
  aud: "audience_wrong",
  nbf: "not_yet_valid",
  typ: "type_wrong",
};

/** Why jose refused a token. Throws what is no refusal on. */
export function joseRejection(error: unknown): TokenRejection {
  if (error instanceof errors.JWSSignatureVerificationFailed) return "signature_wrong";
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported)
    return "algorithm_not_allowed";
  if (error instanceof errors.JWTClaimValidationFailed) {
    // A nbf that is no number.
    if (error.claim === "nbf" && error.reason === "invalid") return "times_not_accepted";
    return Object.hasOwn(OF_CLAIMS, error.claim)
      ? (OF_CLAIMS[error.claim] ?? "times_not_accepted")
      : "times_not_accepted";
  }
  if (error instanceof errors.JOSEError) return "token_malformed";
  throw error;
}
