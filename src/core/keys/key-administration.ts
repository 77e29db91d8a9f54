import type { AuditEventName } from "../audit/audit-event.ts";
import { ownerOf } from "../decision/principal.ts";
import type { KeyPatch } from "./key-lifecycle.ts";
import { patchKey } from "./key-lifecycle.ts";
import type { KeyRecord, KeyStatus } from "./key-record.ts";
import { isFamilyId, statusOf } from "./key-record.ts";
import { mayGrant } from "./operator.ts";
import type { CallOrigin, DeniedOperation, Registry } from "./registry.ts";
import { auditEvent, commit, ensureDurable, refused, retryOnConflict } from "./registry.ts";

/** A key as operators see it: never the key itself. */
export interface KeyView {
  readonly record: KeyRecord;
  /** With ended families and cut-offs taken in. */
  readonly status: KeyStatus;
  /** NumericDate, to a minute or so; absent when it was never used. */
  readonly lastUsedAt?: number;
}

/** Which keys to list. All that are given must fit. */
export interface KeyFilter {
  readonly role?: string;
  /** Where no owner is set, the family. */
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

/** Records read for one page: so many that a rare filter gets on, so few that no Check waits for it. */
const PORTION = 250;
const PORTIONS_PER_PAGE = 8;

/**
 * One page of keys, oldest first. A page may hold fewer than `limit`, even none, while there are more:
 * only a missing cursor ends the list. A key that exists all the while is listed once.
 */
export async function listKeys(
  registry: Registry,
  filter: KeyFilter,
  page: { readonly cursor?: string; readonly limit: number },
): Promise<KeyViews | "cursor_unknown"> {
  const views: KeyView[] = [];
  // Stores know keys by the owner that is set; a family may stand there for itself.
  const indexed = filter.owner === undefined || isFamilyId(filter.owner) ? undefined : filter.owner;
  let cursor = page.cursor;
  for (let portion = 0; portion < PORTIONS_PER_PAGE && views.length < page.limit; portion++) {
    const limit = isUnfiltered(filter, indexed) ? page.limit - views.length : PORTION;
    const found = await registry.store.page({
      limit: Math.min(limit, PORTION),
      ...(indexed === undefined ? {} : { owner: indexed }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (found === "cursor_unknown") return found;
    const room = page.limit - views.length;
    const fitting = found.entries
      .map(({ record, cursor }) => ({ view: viewOf(registry, record), cursor }))
      .filter(({ view }) => fits(view, filter));
    views.push(...fitting.slice(0, room).map(({ view }) => view));
    cursor = fitting.length > room ? fitting[room - 1]?.cursor : found.nextCursor;
    if (cursor === undefined) break;
  }
  return {
    views: await withLastUse(registry, views),
    ...(cursor === undefined ? {} : { nextCursor: cursor }),
  };
}

export async function showKey(registry: Registry, keyId: string): Promise<KeyView | undefined> {
  const record = await registry.store.load(keyId);
  if (record === undefined) return undefined;
  const [view] = await withLastUse(registry, [viewOf(registry, record)]);
  return view;
}

/** Changes a key that the caller could have granted. A revoked one is past changing. */
export function changeKey(
  registry: Registry,
  keyId: string,
  patch: KeyPatch,
  origin: CallOrigin,
): Promise<KeyView | DeniedOperation> {
  return retryOnConflict<KeyView | DeniedOperation>(async () => {
    const current = await registry.store.load(keyId);
    if (current === undefined) return refused("key_unknown");
    const role = registry.policy().roles.get(current.role);
    const permitted =
      role === undefined
        ? origin.caller.kind === "admin"
        : mayGrant(origin.caller, current.scopes, role, registry.policy());
    if (!permitted) return refused("grant_refused");
    if (viewOf(registry, current).status === "revoked") return refused("key_revoked");
    const next = patchKey(current, patch);
    if (next === current) {
      await ensureDurable(registry);
      return viewOf(registry, current);
    }
    const audit = [auditEvent(registry, origin, eventOf(current, next), current)];
    const outcome = await commit(registry, { put: [next], audit });
    return outcome.kind === "committed" ? viewOf(registry, next) : "conflict";
  });
}

function eventOf(current: KeyRecord, next: KeyRecord): AuditEventName {
  if (current.disabled === next.disabled) return "key_changed";
  return next.disabled ? "key_disabled" : "key_enabled";
}

function viewOf(registry: Registry, record: KeyRecord): KeyView {
  const nowMs = registry.nowMs();
  const revoked = registry.view.endReason(record, nowMs) === "key_revoked";
  return { record, status: revoked ? "revoked" : statusOf(record, Math.floor(nowMs / 1000)) };
}

async function withLastUse(registry: Registry, views: readonly KeyView[]): Promise<KeyView[]> {
  const used = await registry.store.lastUsed(views.map(({ record }) => record.keyId));
  return views.map((view) => {
    const lastUsedAt = used.get(view.record.keyId);
    return lastUsedAt === undefined ? view : { ...view, lastUsedAt };
  });
}

/** Whether every record that the store gives fits. */
function isUnfiltered(filter: KeyFilter, indexedOwner: string | undefined): boolean {
  const { owner, ...others } = filter;
  return owner === indexedOwner && Object.values(others).every((value) => value === undefined);
}

function fits(view: KeyView, filter: KeyFilter): boolean {
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
