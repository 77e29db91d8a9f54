import { errors } from "jose";
import { expect, test } from "vitest";
import { joseRejection } from "./jose-rejection.ts";

const claim = (name: string, reason = "check_failed") =>
  new errors.JWTClaimValidationFailed("message", {}, name, reason);

test.each([
  [new errors.JWSSignatureVerificationFailed(), "signature_wrong"],
  [new errors.JOSEAlgNotAllowed(), "algorithm_not_allowed"],
  [new errors.JOSENotSupported(), "algorithm_not_allowed"],
  [claim("iss"), "issuer_unknown"],
  [claim("aud"), "audience_wrong"],
  [claim("typ"), "type_wrong"],
  [claim("nbf"), "not_yet_valid"],
  [claim("nbf", "invalid"), "times_not_accepted"],
  [claim("iss", "invalid"), "issuer_unknown"],
  [claim("exp", "missing"), "times_not_accepted"],
  [claim("constructor"), "times_not_accepted"],
  [new errors.JWTInvalid(), "token_malformed"],
  [new errors.JWSInvalid(), "token_malformed"],
  [new errors.JWKSMultipleMatchingKeys(), "token_malformed"],
])("%s is the rejection %s", (error, rejection) => expect(joseRejection(error)).toBe(rejection));

test.each([new TypeError("of ours"), "text", undefined])("%s is no rejection, but a fault", (error) => {
  let thrown: unknown = "nothing";
  try {
    joseRejection(error);
  } catch (caught) {
    thrown = caught;
  }
  expect(thrown).toBe(error);
});
