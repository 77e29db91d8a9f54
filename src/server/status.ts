import type { StatusBody } from "../api/admin/status-route.ts";
import type { Registry } from "../core/keys/registry.ts";
import { isPhase } from "../core/legacy/migration.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import type { InstanceHeartbeat } from "../redis/kid-exchange.ts";
import type { Stores } from "./ports.ts";
import type { Readiness } from "./readiness.ts";
import type { Runtime } from "./runtime.ts";

export interface StatusDeps {
  readonly version: string;
  readonly readiness: Pick<Readiness, "states" | "isReady">;
  readonly stores: Pick<Stores, "fleet" | "place" | "rememberedChanges">;
  readonly registry: Pick<Registry, "store" | "view" | "migration" | "policy">;
  readonly signingKeys: SigningKeys;
  /** Milliseconds since 1970 by `kid`. */
  readonly keysAddedMs: () => ReadonlyMap<string, number>;
}

/** Returns a function that reads the status. It resolves although the store does not respond. */
export function createStatus(
  { clock, metrics }: Pick<Runtime, "clock" | "metrics">,
  deps: StatusDeps,
): () => Promise<StatusBody> {
  const startedMs = clock.nowMs();
  const startedMonotonicMs = performance.now();
  return async () => {
    const instance = {
      version: deps.version,
      started_at: timeOf(startedMs),
      uptime_seconds: Math.floor((performance.now() - startedMonotonicMs) / 1000),
      ready: deps.readiness.isReady(),
      parts: { ...deps.readiness.states() },
      phase: deps.registry.migration.state().phase,
      policy_hash: deps.registry.policy().hash,
      signing_keys: signingKeys(deps),
    };
    const heartbeats = deps.stores.fleet.instances();
    const own = { startedMs, lastMs: clock.nowMs(), kids: instance.signing_keys.map(({ kid }) => kid) };
    return {
      instance,
      store: storeStatus(deps.stores, metrics.store.isUp()),
      instances:
        heartbeats.length === 0
          ? [instanceStatus({ ...own, version: deps.version, phase: instance.phase }, 0)]
          : heartbeats.map(instanceStatus),
      capacity: await capacity(deps, Math.floor(clock.storeNowMs() / 1000)),
    };
  };
}

function signingKeys({ signingKeys: keys, keysAddedMs }: StatusDeps) {
  const added = keysAddedMs();
  return keys.ring().kids.map((kid, at) => {
    const addedMs = added.get(kid);
    return {
      kid,
      use: at === 0 ? ("sign" as const) : ("verify" as const),
      added_at: addedMs === undefined ? null : timeOf(addedMs),
    };
  });
}

function storeStatus({ fleet, place }: StatusDeps["stores"], up: boolean): StatusBody["store"] {
  const at = place();
  const stalenessMs = fleet.stalenessMs();
  return {
    kind: at === undefined ? "embedded" : "redis",
    up,
    topology: at?.topology ?? null,
    primary: at?.primary ?? null,
    failovers: at?.failovers ?? 0,
    last_failover_at: at?.lastFailoverMs === undefined ? null : timeOf(at.lastFailoverMs),
    revocation_staleness_seconds: Number.isFinite(stalenessMs) ? stalenessMs / 1000 : null,
    clock_ahead_seconds: fleet.clockAheadMs() / 1000,
  };
}

/** @param at the place in the list, which starts with this instance */
function instanceStatus(heartbeat: InstanceHeartbeat, at: number): StatusBody["instances"][number] {
  const { startedMs, lastMs, kids, version, phase } = heartbeat;
  return {
    this: at === 0,
    version: version ?? null,
    started_at: timeOf(startedMs),
    last_heartbeat_at: timeOf(lastMs),
    phase: phase !== undefined && isPhase(phase) ? phase : null,
    allowed_per_second: rateOf(heartbeat.allowed),
    denied_per_second: rateOf(heartbeat.denied),
    kids: [...kids],
  };
}

/** Null for a text that is no rate, which another program may have written. */
function rateOf(text = ""): number | null {
  return /^\d{1,9}\.\d{2}$/.test(text) ? Number(text) : null;
}

async function capacity(
  { registry, stores }: StatusDeps,
  nowSeconds: number,
): Promise<StatusBody["capacity"]> {
  // The rest of the status is most useful while the store does not respond.
  const count = await registry.store.count(nowSeconds).catch(() => undefined);
  return {
    keys: count?.unexpired ?? null,
    self_service_keys: count?.selfService ?? null,
    self_service_keys_limit: registry.policy().guards.selfServiceKeysMax,
    revocations: registry.view.size(),
    remembered_changes: stores.rememberedChanges(),
  };
}

/** RFC 3339, in whole seconds. */
function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
