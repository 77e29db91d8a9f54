import type { RevocationView } from "../revocation/revocation-view.ts";
import type { KeyRecord, KeyStatus } from "./key-record.ts";
import { statusOf } from "./key-record.ts";
import type { LastUseReader } from "./ports.ts";

export interface StatusDeps {
  readonly view: Pick<RevocationView, "endReason">;
  readonly nowMs: () => number;
}

/** What operators see of a key, which never includes the key itself. */
export interface KeyView {
  readonly record: KeyRecord;
  /** Takes ended families and cut-offs into account. */
  readonly status: KeyStatus;
  /** NumericDate, accurate to about a minute. Absent if the key was never used. */
  readonly lastUsedAt?: number;
}

export function viewOf({ view, nowMs: clock }: StatusDeps, record: KeyRecord): KeyView {
  const nowMs = clock();
  const revoked = view.endReason(record, nowMs) === "key_revoked";
  return { record, status: revoked ? "revoked" : statusOf(record, Math.floor(nowMs / 1000)) };
}

/** Whether Checks accept the key: it is active, or its successor exists and its overlap is not over. */
export function isLive({ record, status }: KeyView, nowSeconds: number): boolean {
  if (status !== "superseded") return status === "active";
  return nowSeconds < (record.successor?.notAfter ?? 0);
}

export async function withLastUse(
  { store }: { readonly store: LastUseReader },
  views: readonly KeyView[],
): Promise<KeyView[]> {
  const used = await store.lastUsed(views.map(({ record }) => record.keyId));
  return views.map((view) => {
    const lastUsedAt = used.get(view.record.keyId);
    return lastUsedAt === undefined ? view : { ...view, lastUsedAt };
  });
}
