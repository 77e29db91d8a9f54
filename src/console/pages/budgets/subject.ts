import type { LatchkeyClient } from "../../../client/client.ts";
import type { LimitSubject } from "../../../client/limit-calls.ts";
import type { AppliedOverride, KeyFilter } from "../../../client/types.ts";

export type Scope = "owner" | "family";

export interface Subject {
  readonly scope: Scope;
  readonly name: string;
}

export function subjectOf({ owner, family }: Pick<AppliedOverride, "owner" | "family">): Subject {
  return owner === null ? { scope: "family", name: family ?? "" } : { scope: "owner", name: owner };
}

export function toLimitSubject({ scope, name }: Subject): LimitSubject {
  return scope === "owner" ? { owner: name } : { family: name };
}

/** A family of this or of another issuer, or else an owner. */
export function guessSubject(name: string): Subject {
  return { scope: /^fam_\w{16,32}$/.test(name) || name.includes(":") ? "family" : "owner", name };
}

/** Live keys that a change of the subject's override affects. */
export interface AffectedKeys {
  readonly keys: number;
  /** Whether there may be more. */
  readonly isMore: boolean;
  /** RFC 3339 of the last use; null if none was used. */
  readonly lastUsedAt: string | null;
}

const MAX_PAGES = 4;

export async function affectedKeys(client: LatchkeyClient, { scope, name }: Subject): Promise<AffectedKeys> {
  const filter: KeyFilter = { [scope]: name, status: "active", limit: 500 };
  let keys = 0;
  let lastUsedAt: string | null = null;
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const found = await client.keys.list({ ...filter, ...(cursor !== undefined && { cursor }) });
    keys += found.keys.length;
    for (const { last_used_at } of found.keys)
      if (last_used_at !== null && (lastUsedAt === null || last_used_at > lastUsedAt))
        lastUsedAt = last_used_at;
    cursor = found.next_cursor ?? undefined;
    if (cursor === undefined) break;
  }
  return { keys, isMore: cursor !== undefined, lastUsedAt };
}
