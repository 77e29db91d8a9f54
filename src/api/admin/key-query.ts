import { z } from "zod";
import type { KeyFilter } from "../../core/keys/key-filter.ts";
import { hasAtMostCharacters, MAX_KEY_NAME_CHARACTERS } from "../../core/keys/key-name.ts";
import { pageLimit } from "../http/query-values.ts";
import { isOwnerName, planName, roleName } from "../keys/schemas.ts";
import { keyStatus } from "./key-schemas.ts";

/** A time (RFC 3339) as a NumericDate. Rounding up keeps the dates, in whole seconds, that are before it. */
const instant = z.iso.datetime({ offset: true }).transform((text) => Math.ceil(Date.parse(text) / 1000));

/** A part of a name. */
const nameText = z
  .string()
  .refine(
    (text) => hasAtMostCharacters(text, MAX_KEY_NAME_CHARACTERS),
    `must have at most ${MAX_KEY_NAME_CHARACTERS} characters`,
  )
  .meta({ maxLength: MAX_KEY_NAME_CHARACTERS });

const filterMembers = {
  role: roleName.optional(),
  owner: z.string().refine(isOwnerName, "is not the name of an owner").optional(),
  family: z.string().max(128).optional(),
  status: keyStatus.optional(),
  plan: planName.optional().meta({ description: "The plan that the key was given." }),
  name_prefix: nameText.optional(),
  search: nameText.min(1).optional().meta({
    maxLength: MAX_KEY_NAME_CHARACTERS,
    description: "Is contained in the key id, the name, the owner or the family. Case is ignored.",
  }),
  issued_before: instant.optional(),
  expiring_before: instant.optional(),
  unused_since: instant.optional().meta({
    description:
      "The last use was before this time. A key that was never used counts as used when it was issued.",
  }),
  cursor: z.string().max(64).optional(),
};

export const listQuery = z
  .strictObject({ ...filterMembers, limit: pageLimit.optional() })
  .meta({ title: "KeyFilter" });

export const countQuery = z.strictObject(filterMembers).meta({ title: "CountedKeys" });

/** The filter of a parsed query. */
export function filterOf(query: z.output<typeof countQuery>): KeyFilter {
  const { role, owner, family, status, plan, name_prefix, search } = query;
  const { issued_before, expiring_before, unused_since } = query;
  return {
    ...(role !== undefined && { role }),
    ...(owner !== undefined && { owner }),
    ...(family !== undefined && { family }),
    ...(status !== undefined && { status }),
    ...(plan !== undefined && { plan }),
    ...(name_prefix !== undefined && { namePrefix: name_prefix }),
    ...(search !== undefined && { search }),
    ...(issued_before !== undefined && { issuedBefore: issued_before }),
    ...(expiring_before !== undefined && { expiringBefore: expiring_before }),
    ...(unused_since !== undefined && { unusedSince: unused_since }),
  };
}
