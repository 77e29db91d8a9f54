import type { KeyBinding } from "../keys/key-binding.ts";
import type { KeyMemory } from "./key-memory.ts";

/** The holder of a key, from the verified key alone, before the policy applies. Times are NumericDates (seconds). */
export interface Principal extends KeyBinding, KeyMemory {
  /** `jti`: `<role>_<unix seconds>_<random>`. */
  readonly keyId: string;
  /** `fam`: the chain of refreshes that the key belongs to. Limits per key count the family. */
  readonly family: string;
  /** `own`: the owner that an operator has set. Absent: the family owns itself. */
  readonly owner?: string;
  readonly role: string;
  /** `plan`: the plan that an operator or the issuer has assigned. Absent: the role decides. */
  readonly plan?: string;
  /** `scope`: the scopes granted at issue. The effective scopes are those that the role still has. */
  readonly scopes: readonly string[];
  /** `name`: self-asserted, for display only. */
  readonly name: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly refreshAfter: number;
  /** For a token of another issuer: the issuer's name in the policy, which is the prefix of its ids. */
  readonly issuer?: string;
  /** For an opaque (V1) key. `migratedAt` is the time of its first exchange for a V2 key. */
  readonly legacy?: { readonly migratedAt?: number };
}

/** The owner by which a key is limited and counted. */
export function ownerOf({ owner, family }: Pick<Principal, "owner" | "family">): string {
  return owner ?? family;
}
