import type { Clock } from "../clock.ts";
import type { FeedEntry } from "../revocation/feed-entry.ts";
import type { InstanceView } from "../revocation/instance-view.ts";
import { endsKey, restrictionOf } from "../revocation/revocation.ts";
import type { CommitOutcome, KeyChange, OverrideChange } from "./key-change.ts";
import { nowSeconds } from "./key-dates.ts";
import type { KeyRecord } from "./key-record.ts";
import type { KeyWriter } from "./ports.ts";
import { RegistryFrozen } from "./registry-frozen.ts";

export interface CommitDeps {
  readonly store: KeyWriter;
  /** This instance's view, so that its own Checks see a change at once. */
  readonly view: Pick<InstanceView, "apply" | "standing">;
  readonly storeClock: Pick<Clock, "storeNowMs" | "applyStoreTime">;
  /** Called with the entries about V1 keys and the phase that other instances receive. Absent without a running instance. */
  readonly onFeedEntry?: (entry: FeedEntry) => void;
}

/** A change as an operation decides it. {@link commit} adds the time. */
export type DecidedChange = Omit<KeyChange, "nowSeconds">;

/**
 * Writes a change and applies it to this instance. If the store's clock differs, this instance adopts the store's time and
 * the outcome is a conflict. Throws {@link RegistryFrozen} if a freeze stops the change.
 */
export async function commit(
  deps: CommitDeps,
  decided: DecidedChange,
): Promise<Exclude<CommitOutcome, { kind: "clock" | "frozen" }>> {
  const change = { ...decided, put: decided.put.map((record) => withChangeTime(deps, record)) };
  const changed = change.put.filter((record) => record.version > 1);
  const feedEntries = [...(change.feedEntries ?? []), ...legacyEntries(changed)];
  const outcome = await deps.store.commit({ ...change, feedEntries, nowSeconds: nowSeconds(deps) });
  if (outcome.kind === "clock") {
    deps.storeClock.applyStoreTime(outcome.nowMs);
    return { kind: "conflict" };
  }
  if (outcome.kind === "frozen") throw new RegistryFrozen(Math.max(1, outcome.until - nowSeconds(deps)));
  if (outcome.kind === "committed") {
    applyLocally(deps, { ...change, feedEntries }, changed);
    applyOverride(deps, change.override, outcome.overrideVersion);
    if (outcome.durable === false) throw new NotReplicated();
  }
  return outcome;
}

function applyLocally(
  { view, onFeedEntry }: CommitDeps,
  { end, migration, feedEntries = [] }: DecidedChange,
  changed: readonly KeyRecord[],
): void {
  // An unrestricted key is an entry only if the view knows a restriction that it replaces.
  const restrictions = changed
    .map(restrictionOf)
    .filter((restriction) => endsKey(restriction) || view.standing(restriction.keyId) !== undefined);
  view.apply(end === undefined ? restrictions : [...restrictions, end]);
  if (migration !== undefined) onFeedEntry?.({ kind: "phase", state: migration.to });
  for (const entry of feedEntries) onFeedEntry?.(entry);
}

function applyOverride({ view }: CommitDeps, override: OverrideChange | undefined, version = 0): void {
  if (override === undefined) return;
  const { replaces: _, above: __, below: ___, ...entry } = override;
  view.apply([{ ...entry, version }]);
}

/** Makes `changedAt` later than every known change of the key, even if the store has lost its last writes. */
function withChangeTime({ view, storeClock }: CommitDeps, record: KeyRecord): KeyRecord {
  if (record.version === 1) return record;
  const known = Math.max(record.changedAt ?? record.version - 1, view.standing(record.keyId)?.version ?? 0);
  return { ...record, changedAt: Math.max(known + 1, Math.floor(storeClock.storeNowMs())) };
}

/** Instances cache the records of V1 keys, because an opaque key carries no claims. The entry invalidates the cache. */
function legacyEntries(changed: readonly KeyRecord[]): readonly FeedEntry[] {
  const keyIds = changed.filter(({ legacy }) => legacy !== undefined).map(({ keyId }) => keyId);
  return keyIds.length === 0 ? [] : [{ kind: "legacy", keyIds }];
}

/** Commits a change that has no requirement, so only the clock can cause a conflict. */
export function commitUnconditionally(deps: CommitDeps, decide: () => DecidedChange): Promise<void> {
  return retryOnConflict<void>(async () => {
    const outcome = await commit(deps, decide());
    return outcome.kind === "committed" ? undefined : "conflict";
  });
}

/** The change is written and applied on this instance, but a failover may lose it. The call can be repeated safely. */
export class NotReplicated extends Error {
  override readonly name = "NotReplicated";

  constructor() {
    super("too few replicas have the change");
  }
}

/**
 * For an operation that changes nothing: earlier changes must be durable too. Throws {@link NotReplicated} otherwise.
 * @param handedOut the records of the keys that the caller returns once more
 */
export async function ensureDurable(
  { store }: { readonly store: Pick<KeyWriter, "confirm"> },
  handedOut: readonly KeyRecord[] = [],
): Promise<void> {
  if (!(await store.confirm(handedOut))) throw new NotReplicated();
}

/** Other changes came in between again and again. */
export class RegistryBusy extends Error {
  override readonly name = "RegistryBusy";

  constructor() {
    super("the registry changed during eight attempts in a row");
  }
}

/** Repeats reading, deciding and writing until no other change comes in between. Throws {@link RegistryBusy} after eight attempts. */
export async function retryOnConflict<T>(attempt: () => Promise<T | "conflict">): Promise<T> {
  for (let tries = 0; tries < 8; tries++) {
    const result = await attempt();
    if (result !== "conflict") return result;
  }
  throw new RegistryBusy();
}
