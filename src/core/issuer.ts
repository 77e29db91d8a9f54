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
}

/** Where a token says what: names of claims, or paths of names with dots between. */
export interface IssuerClaims {
  /** Whose token it is: limits follow it. */
  readonly id: string;
  readonly role: string;
  /** Absent: a token has all scopes of its role. */
  readonly scope?: string;
  /** Absent: whoever it is owns itself. */
  readonly owner?: string;
  readonly name?: string;
}

/** Public keys only: nobody shares a secret with us. */
export const ISSUER_ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"] as const;
export type IssuerAlgorithm = (typeof ISSUER_ALGORITHMS)[number];

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
