import { ownerOf } from "../decision/principal.ts";
import type { KeyRecord, KeyStatus } from "./key-record.ts";
import { isFamilyId } from "./key-record.ts";
import type { KeyView } from "./key-view.ts";
import type { ListedKeys } from "./ports.ts";

/** A key is listed if it matches every given member. All times are NumericDates. */
export interface KeyFilter {
  readonly role?: string;
  /** A family without an owner owns itself. */
  readonly owner?: string;
  readonly family?: string;
  readonly status?: KeyStatus;
  /** The plan that the key was given. */
  readonly plan?: string;
  readonly namePrefix?: string;
  /** Is contained in the key id, the name, the owner or the family. Case is ignored. */
  readonly search?: string;
  readonly issuedBefore?: number;
  readonly expiringBefore?: number;
  /** The last use was before this time. A key that was never used counts as used at its issue date. */
  readonly unusedSince?: number;
}

/** The smallest index of a store that has all matching keys. Undefined: none but that of all keys. */
export function indexFor({ family, owner }: KeyFilter): ListedKeys | undefined {
  if (family !== undefined) return { family };
  // Keys without an owner are in no owner's index. They match a family id as owner.
  return owner === undefined || isFamilyId(owner) ? undefined : { owner };
}

/** Whether every record of the index matches. */
export function isAnsweredByIndex(filter: KeyFilter): boolean {
  const of = indexFor(filter) ?? {};
  return Object.entries(filter).every(([name, value]) => value === undefined || name in of);
}

/** Whether a key matches all members but `unusedSince`. */
export function createMatcher(filter: KeyFilter): (view: KeyView) => boolean {
  const needle = filter.search?.toLowerCase();
  return ({ record, status }) =>
    (filter.role === undefined || record.role === filter.role) &&
    (filter.owner === undefined || ownerOf(record) === filter.owner) &&
    (filter.family === undefined || record.family === filter.family) &&
    (filter.status === undefined || status === filter.status) &&
    (filter.plan === undefined || record.plan === filter.plan) &&
    (filter.namePrefix === undefined || record.name.startsWith(filter.namePrefix)) &&
    (filter.issuedBefore === undefined || record.issuedAt < filter.issuedBefore) &&
    (filter.expiringBefore === undefined || record.expiresAt < filter.expiringBefore) &&
    (needle === undefined || contains(record, needle));
}

function contains({ keyId, name, owner = "", family }: KeyRecord, needle: string): boolean {
  return [keyId, name, owner, family].some((text) => text.toLowerCase().includes(needle));
}

/** Whether the last use of a view that has it was before this time. */
export function isUnusedSince({ record, lastUsedAt }: KeyView, unusedSince: number): boolean {
  return (lastUsedAt ?? record.issuedAt) < unusedSince;
}
