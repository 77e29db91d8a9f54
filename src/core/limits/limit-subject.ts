import type { Principal } from "../decision/principal.ts";
import { ownerOf } from "../decision/principal.ts";
import type { QuotaSubject } from "../policy/policy.ts";

/** The fields of a key that its buckets and counters depend on. */
export type LimitedKey = Pick<Principal, "family" | "owner" | "role">;

/** The subject that a limit or a quota of this key counts. */
export function subjectOf(per: QuotaSubject, key: LimitedKey): string {
  switch (per) {
    case "key":
      return key.family;
    case "owner":
      return ownerOf(key);
    case "role":
      return key.role;
  }
}
