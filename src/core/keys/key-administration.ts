import type { AuditEventName } from "../audit/audit-event.ts";
import { ownerOf } from "../decision/principal.ts";
import type { RevocationView } from "../revocation/revocation-view.ts";
import type { CommitDeps } from "./commit.ts";
import { commit, ensureDurable, retryOnConflict } from "./commit.ts";
import type { KeyPatch } from "./key-lifecycle.ts";
import { patchKey } from "./key-lifecycle.ts";
import type { KeyRecord, KeyStatus } from "./key-record.ts";
import { isFamilyId, statusOf } from "./key-record.ts";
import type { PolicyDeps } from "./new-key.ts";
import type { AuditDeps, CallOrigin } from "./operation-audit.ts";
import { auditEvent } from "./operation-audit.ts";
import { mayGrant } from "./operator.ts";
import type { KeyListing, KeyReader, LastUseReader } from "./ports.ts";
import type { DeniedOperation } from "./registry-denial.ts";
import { denied } from "./registry-denial.ts";

export interface StatusDeps {
  readonly view: Pick<RevocationView, "endReason">;
  readonly nowMs: () => number;
}

export type ListDeps = StatusDeps & { readonly store: KeyListing & LastUseReader };

export type ShowDeps = StatusDeps & { readonly store: KeyReader & LastUseReader };

export type ChangeDeps = StatusDeps & CommitDeps & AuditDeps & PolicyDeps & { readonly store: KeyReader };

/** What operators see of a key, which never includes the key itself. */
export interface KeyView {
  readonly record: KeyRecord;
  /** Takes ended families and cut-offs into account. */
  readonly status: KeyStatus;
  /** NumericDate, accurate to about a minute. Absent if the key was never used. */
  readonly lastUsedAt?: number;
}

/** A key is listed if it matches every given member. */
export interface KeyFilter {
  readonly role?: string;
  /** A family without an owner owns itself. */
  readonly owner?: string;
  readonly family?: string;
  readonly status?: KeyStatus;
  readonly namePrefix?: string;
  /** NumericDate. */
  readonly expiringBefore?: number;
}

export interface KeyViews {
  readonly views: readonly KeyView[];
  readonly nextCursor?: string;
}

/** Records read at a time: enough for a filter that few keys match, few enough not to delay Checks. */
const PORTION = 250;
const PORTIONS_PER_PAGE = 8;

/**
 * One page of keys, oldest first. A page can hold fewer than `limit` keys, or none, although more follow: only a missing
 * cursor ends the list. A key that exists during the whole listing is listed once.
 */
export async function listKeys(
  deps: ListDeps,
  filter: KeyFilter,
  page: { readonly cursor?: string; readonly limit: number },
): Promise<KeyViews | "cursor_unknown"> {
  const views: KeyView[] = [];
  // Stores index keys by their owner. A family id as owner matches keys without an owner, which are not indexed.
  const indexed = filter.owner === undefined || isFamilyId(filter.owner) ? undefined : filter.owner;
  let cursor = page.cursor;
  for (let portion = 0; portion < PORTIONS_PER_PAGE && views.length < page.limit; portion++) {
    const limit = isUnfiltered(filter, indexed) ? page.limit - views.length : PORTION;
    const found = await deps.store.page({
      limit: Math.min(limit, PORTION),
      ...(indexed === undefined ? {} : { owner: indexed }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (found === "cursor_unknown") return found;
    const capacity = page.limit - views.length;
    const matching = found.entries
      .map(({ record, cursor }) => ({ view: viewOf(deps, record), cursor }))
      .filter(({ view }) => matches(view, filter));
    views.push(...matching.slice(0, capacity).map(({ view }) => view));
    cursor = matching.length > capacity ? matching[capacity - 1]?.cursor : found.nextCursor;
    if (cursor === undefined) break;
  }
  return {
    views: await withLastUse(deps, views),
    ...(cursor === undefined ? {} : { nextCursor: cursor }),
  };
}

export async function showKey(deps: ShowDeps, keyId: string): Promise<KeyView | undefined> {
  const record = await deps.store.load(keyId);
  if (record === undefined) return undefined;
  const [view] = await withLastUse(deps, [viewOf(deps, record)]);
  return view;
}

/** Changes a key that the caller could have granted. A revoked key cannot be changed. */
export function changeKey(
  deps: ChangeDeps,
  keyId: string,
  patch: KeyPatch,
  origin: CallOrigin,
): Promise<KeyView | DeniedOperation> {
  return retryOnConflict<KeyView | DeniedOperation>(async () => {
    const current = await deps.store.load(keyId);
    if (current === undefined) return denied("key_unknown");
    const role = deps.policy().roles.get(current.role);
    const permitted =
      role === undefined
        ? origin.caller.kind === "admin"
        : mayGrant(origin.caller, current.scopes, role, deps.policy());
    if (!permitted) return denied("grant_refused");
    if (viewOf(deps, current).status === "revoked") return denied("key_revoked");
    const next = patchKey(current, patch);
    if (next === current) {
      await ensureDurable(deps);
      return viewOf(deps, current);
    }
    const audit = [auditEvent(deps, origin, eventOf(current, next), current)];
    const outcome = await commit(deps, { put: [next], audit });
    return outcome.kind === "committed" ? viewOf(deps, next) : "conflict";
  });
}

function eventOf(current: KeyRecord, next: KeyRecord): AuditEventName {
  if (current.disabled === next.disabled) return "key_changed";
  return next.disabled ? "key_disabled" : "key_enabled";
}

export function viewOf({ view, nowMs: clock }: StatusDeps, record: KeyRecord): KeyView {
  const nowMs = clock();
  const revoked = view.endReason(record, nowMs) === "key_revoked";
  return { record, status: revoked ? "revoked" : statusOf(record, Math.floor(nowMs / 1000)) };
}

async function withLastUse(
  { store }: { readonly store: LastUseReader },
  views: readonly KeyView[],
): Promise<KeyView[]> {
  const used = await store.lastUsed(views.map(({ record }) => record.keyId));
  return views.map((view) => {
    const lastUsedAt = used.get(view.record.keyId);
    return lastUsedAt === undefined ? view : { ...view, lastUsedAt };
  });
}

/** Whether every record that the store returns matches. */
function isUnfiltered(filter: KeyFilter, indexedOwner: string | undefined): boolean {
  const { owner, ...others } = filter;
  return owner === indexedOwner && Object.values(others).every((value) => value === undefined);
}

function matches(view: KeyView, filter: KeyFilter): boolean {
  const { record, status } = view;
  return (
    (filter.role === undefined || record.role === filter.role) &&
    (filter.owner === undefined || ownerOf(record) === filter.owner) &&
    (filter.family === undefined || record.family === filter.family) &&
    (filter.status === undefined || status === filter.status) &&
    (filter.namePrefix === undefined || record.name.startsWith(filter.namePrefix)) &&
    (filter.expiringBefore === undefined || record.expiresAt < filter.expiringBefore)
  );
}
