import type { KeyRecord } from "../keys/key-record.ts";
import { merge, pack, unpack } from "./packed-restriction.ts";
import type { KeyRestriction } from "./revocation.ts";
import { restrictionOf } from "./revocation.ts";

/** A record, and what ends or limits its key. */
export interface RestrictedRecord {
  readonly record: KeyRecord;
  readonly restriction: { readonly kind: "key" } & KeyRestriction;
}

/**
 * Applies a known restriction of the same key to a record, as a revocation view merges both.
 * @param nowSeconds dates a revocation that the record does not have
 */
export function restrictRecord(
  record: KeyRecord,
  known: KeyRestriction | undefined,
  nowSeconds: number,
): RestrictedRecord {
  const own = restrictionOf(record);
  if (known === undefined) return { record, restriction: own };
  const restriction = unpack(record.keyId, merge(pack(own), pack(known)));
  const { revoked, disabled, version } = restriction;
  return {
    restriction,
    record: {
      ...record,
      ...(revoked && { revokedAt: record.revokedAt ?? nowSeconds }),
      disabled,
      ...(version > own.version && { changedAt: version }),
    },
  };
}
