/** Another party whose tokens are taken at Checks, as the policy has it. They never open the key API. */
export interface Issuer {
  /** Heads every id of its tokens, so that no id of one issuer is one of another's, or of ours. */
  readonly name: string;
  /** `iss` of its tokens. */
  readonly issuer: string;
  readonly jwksUri: string;
  readonly audience: string;
  readonly algorithms: readonly IssuerAlgorithm[];
  /** `typ` that its tokens must have, where one is asked for. */
  readonly typ?: string;
  /** The roles that it may give. The first one that a token names holds. */
  readonly roles: readonly string[];
  /** For tokens that name none of them; absent: such tokens are refused. */
  readonly defaultRole?: string;
  /** What a token's role claim calls a role of ours. */
  readonly roleMap: ReadonlyMap<string, string>;
  readonly claims: IssuerClaims;
  /** Longer tokens are refused before anything is decoded. */
  readonly maxTokenBytes: number;
  /** How far its clock may differ from ours, for `nbf` and `exp`. */
  readonly clockSkewSeconds: number;
}

/** A token of an issuer with many groups has tens of kilobytes; Envoy takes 60 KiB of headers in all. */
export const ISSUER_TOKEN_BYTES = { default: 16_384, max: 49_152 } as const;

/** Names of members, one within the other: of several such paths the first one that a token has is taken. */
export type ClaimPath = readonly (readonly string[])[];

/** Where a token says what. */
export interface IssuerClaims {
  /** Whose token it is: limits follow it. */
  readonly id: ClaimPath;
  readonly role: ClaimPath;
  /** Absent: a token has all scopes of its role. */
  readonly scope?: ClaimPath;
  /** Absent: the party of the id owns itself. */
  readonly owner?: ClaimPath;
  readonly name?: ClaimPath;
}

/** Public keys only: nobody shares a secret with us. */
export const ISSUER_ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"] as const;
export type IssuerAlgorithm = (typeof ISSUER_ALGORITHMS)[number];

/** Names of RFC 9864 §2 for what an older name says together with the curve of the key. */
const FULLY_SPECIFIED = { Ed25519: "EdDSA", ESP256: "ES256", ESP384: "ES384" } as const;

/** The name by which an algorithm is known here. */
export function algorithmName(name: string): string {
  return isFullySpecified(name) ? FULLY_SPECIFIED[name] : name;
}

function isFullySpecified(name: string): name is keyof typeof FULLY_SPECIFIED {
  return Object.hasOwn(FULLY_SPECIFIED, name);
}

/** The algorithm of this name, or undefined for one that no token of an issuer may have. */
export function issuerAlgorithm(name: string): IssuerAlgorithm | undefined {
  const known = algorithmName(name);
  return ISSUER_ALGORITHMS.find((algorithm) => algorithm === known);
}

/** Longer ids stand in no header, bucket or log line. */
const MAX_ID_LENGTH = 200;

/** An id of an issuer's in its namespace, or undefined for one that cannot be one. Different ids give different texts. */
export function foreignId(issuerName: string, id: string): string | undefined {
  if (id === "" || !id.isWellFormed()) return undefined;
  const safe = id.replace(/[^A-Za-z0-9_.@-]/gu, (character) =>
    encodeURIComponent(character).replace(
      /[!'()*~]/g,
      (plain) => `%${plain.charCodeAt(0).toString(16).toUpperCase()}`,
    ),
  );
  return safe.length > MAX_ID_LENGTH ? undefined : `${issuerName}:${safe}`;
}

const FOREIGN_ID = /^[a-z][a-z0-9-]{0,31}:[A-Za-z0-9_.@%-]{1,200}$/;

/** Whether a text has the form of an id in an issuer's namespace. None of ours has. */
export function isForeignId(text: string): boolean {
  return FOREIGN_ID.test(text);
}
