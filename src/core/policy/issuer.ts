import type { ClaimPath } from "./claims.ts";

/** Another issuer of the policy, whose tokens are accepted at Checks. The key API does not accept them. */
export interface Issuer {
  /** The prefix of all ids of its tokens, so that they differ from the ids of other issuers and from ours. */
  readonly name: string;
  /** `iss` of its tokens. */
  readonly issuer: string;
  readonly jwksUri: string;
  readonly audience: string;
  readonly algorithms: readonly IssuerAlgorithm[];
  /** The required `typ` of its tokens; absent: any. */
  readonly typ?: string;
  /** The roles that it may assign. A token gets the first of these that it names. */
  readonly roles: readonly string[];
  /** For tokens that name none of them; absent: such tokens are rejected. */
  readonly defaultRole?: string;
  /** From a value of the role claim to a role of the policy. */
  readonly roleMap: ReadonlyMap<string, string>;
  readonly claims: IssuerClaims;
  /** The plans that it may assign. A token gets the first of these that it names. */
  readonly plans: readonly string[];
  /** Longer tokens are rejected before they are decoded. */
  readonly maxTokenBytes: number;
  /** The accepted difference between its clock and ours, for `nbf` and `exp`. */
  readonly clockSkewSeconds: number;
}

/** A token with many groups has tens of kilobytes. Envoy accepts 60 KiB of headers in total. */
export const ISSUER_TOKEN_BYTES = { default: 16_384, max: 49_152 } as const;

/** The claims of a token that Latchkey uses. */
export interface IssuerClaims {
  /** The subject of the token. Limits per key count it. */
  readonly id: ClaimPath;
  readonly role: ClaimPath;
  /** Absent: a token gets all scopes of its role. */
  readonly scope?: ClaimPath;
  /** Absent: the subject owns itself. */
  readonly owner?: ClaimPath;
  readonly name?: ClaimPath;
  /** Absent: no token has a plan. */
  readonly plan?: ClaimPath;
}

/** Public-key algorithms only: an issuer shares no secret with Latchkey. */
export const ISSUER_ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"] as const;
export type IssuerAlgorithm = (typeof ISSUER_ALGORITHMS)[number];

/** Fully-specified names (RFC 9864 §2) and their older, polymorphic names. */
const FULLY_SPECIFIED = { Ed25519: "EdDSA", ESP256: "ES256", ESP384: "ES384" } as const;

/** The name that Latchkey uses for an algorithm. */
export function algorithmName(name: string): string {
  return isFullySpecified(name) ? FULLY_SPECIFIED[name] : name;
}

function isFullySpecified(name: string): name is keyof typeof FULLY_SPECIFIED {
  return Object.hasOwn(FULLY_SPECIFIED, name);
}

/** The algorithm of this name; undefined if it is not accepted from issuers. */
export function issuerAlgorithm(name: string): IssuerAlgorithm | undefined {
  const known = algorithmName(name);
  return ISSUER_ALGORITHMS.find((algorithm) => algorithm === known);
}

/** The maximum length of an id in headers, buckets and log lines. */
const MAX_ID_LENGTH = 200;

/** An issuer's id in its namespace; undefined for an invalid id. Different ids give different texts. */
export function foreignId(issuerName: string, id: string): string | undefined {
  const safe = escapeId(id);
  return safe === undefined ? undefined : `${issuerName}:${safe}`;
}

/** An id as letters, digits and `_ . @ - %`; undefined if it is empty, too long or not Unicode text. Different ids give different texts. */
export function escapeId(id: string): string | undefined {
  if (id === "" || !id.isWellFormed()) return undefined;
  const safe = id.replace(/[^A-Za-z0-9_.@-]/gu, (character) =>
    encodeURIComponent(character).replace(
      /[!'()*~]/g,
      (plain) => `%${plain.charCodeAt(0).toString(16).toUpperCase()}`,
    ),
  );
  return safe.length > MAX_ID_LENGTH ? undefined : safe;
}

const FOREIGN_ID = /^[a-z][a-z0-9-]{0,31}:[A-Za-z0-9_.@%-]{1,200}$/;

/** Whether a text has the form of an id in an issuer's namespace. No id of Latchkey's own keys has. */
export function isForeignId(text: string): boolean {
  return FOREIGN_ID.test(text);
}
