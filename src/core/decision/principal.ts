import type { KeyBinding } from "../keys/key-binding.ts";

/** Who presents a key: what the verified key itself says, before the policy is asked. Times are NumericDates (seconds). */
export interface Principal extends KeyBinding {
  /** `jti`: `<role>_<unix seconds>_<random>`. */
  readonly keyId: string;
  /** `fam`: the chain of refreshes that the key belongs to. Limits follow it. */
  readonly family: string;
  /** `own`: whom an operator says the key belongs to. Absent: the family owns itself. */
  readonly owner?: string;
  readonly role: string;
  /** `scope`: what was granted when the key was made. What counts is its intersection with the role's scopes now. */
  readonly scopes: readonly string[];
  /** `name`: self-asserted, for people to read. */
  readonly name: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly refreshAfter: number;
  /** Of a token that another party issued: its name in the policy, which heads its ids. */
  readonly issuer?: string;
  /** Of an opaque (V1) key: when it was first exchanged for a V2 key. */
  readonly legacy?: { readonly migratedAt?: number };
}

/** What a key is limited and counted by. */
export function ownerOf({ owner, family }: Pick<Principal, "owner" | "family">): string {
  return owner ?? family;
}
