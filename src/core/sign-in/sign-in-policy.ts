import type { ClaimPath } from "../policy/claims.ts";

/** Who may sign in by OpenID Connect, and what each may then do: `console` of the policy. */
export interface SignInPolicy {
  /** In the policy's order. The first entry that applies to a person decides. */
  readonly operators: readonly OperatorMapping[];
  /** Absent: no holder of keys can sign in. */
  readonly holders?: HolderMapping;
}

/** Makes people with one value in one claim operators. */
export interface OperatorMapping {
  readonly claim: ClaimPath;
  readonly value: string;
  /** The role whose scopes, `may_grant` and `may_assign_plans` they have. */
  readonly role: string;
  /** A part of the role's scopes; absent: all of them. */
  readonly scopes?: readonly string[];
}

/** Lets people manage the keys of one owner. */
export interface HolderMapping {
  /** The claim whose value is the owner. */
  readonly owner: ClaimPath;
  /** Roles whose keys they may create and rotate, in addition to self-service roles. */
  readonly roles: readonly string[];
  /** A holder creates no key while its owner has this many, and begins no overlap while this many of them are in one. */
  readonly maxKeys: number;
}

/** The maximum number of an owner's keys for a holder. */
export function maxOwnerKeys({ holders }: SignInPolicy): number {
  return holders?.maxKeys ?? 0;
}

/** The identity of a claim in a session. A session is valid only while the policy still reads the same claim. */
export function claimId(claim: ClaimPath): string {
  return JSON.stringify(claim);
}
