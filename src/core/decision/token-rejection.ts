/**
 * Why a verifier rejected a credential, for operators. The client does not learn it, because it would help to guess. The names
 * are also metric labels.
 */
export const TOKEN_REJECTIONS = {
  token_too_long: "it is longer than max_token_bytes allows",
  token_malformed: "it is no signed JWT in its canonical spelling",
  issuer_unknown: "its iss is neither JWT_ISSUER nor an issuer of the policy",
  header_not_accepted: "its header has no kid, or has crit, b64 or a member that is not expected",
  algorithm_not_allowed: "its alg is not one of the algorithms that are allowed",
  key_unknown: "no key has its kid",
  key_unsuitable:
    "the key of its kid is not for its alg: its kty, crv, use, key_ops or alg, or it is too weak",
  keys_unavailable: "the keys of its issuer are not available",
  signature_wrong: "its signature does not match the key of its kid",
  type_wrong: "its typ is not the one that is required",
  audience_wrong: "its aud does not contain the audience",
  not_yet_valid: "its nbf lies ahead, beyond clock_skew",
  times_not_accepted:
    "its exp or iat is missing or no number, or they are not in order or over 400 days apart",
  id_not_accepted: "the claim of its id or its jti is missing, no text, or too long",
  owner_not_accepted: "the claim of its owner is missing, no text, or too long",
  role_missing: "it names none of the roles that its issuer may give",
  claims_not_accepted: "its claims are not those of a key that Latchkey issues",
  opaque_unknown: "it is no JWT, and no V1 key that is known",
} as const satisfies Record<string, string>;

export type TokenRejection = keyof typeof TOKEN_REJECTIONS;

/** A rejected token. */
export interface RejectedToken {
  readonly cause: TokenRejection;
  /** The issuer's name in the policy; absent for our own tokens and for tokens of unknown issuers. */
  readonly issuer?: string;
}
