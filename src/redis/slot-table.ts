import type { HostPort } from "../config/host-port.ts";
import { formatHostPort } from "../config/host-port.ts";
import type { ClusterMap, ClusterOptions } from "./cluster-map.ts";
import { findClusterMap } from "./cluster-map.ts";

export interface SlotTable {
  /** Undefined if no node serves the slot. */
  primaryOf(slot: number): HostPort | undefined;
  /** Of the newest map. It grows with every failover, and differs in a map of a node that does not know of it. */
  epoch(): number;
  /** All nodes that serve slots, by the newest map. */
  primaries(): readonly HostPort[];
  /** A node has named another one for this slot. */
  move(slot: number, to: HostPort): void;
  /** Reads the map of the Cluster, once for all calls that wait. Rejects if no node responds. */
  refresh(): Promise<void>;
  /** The same, but at most ten times a second, and less often if nothing changes. A failure is ignored. */
  refreshSoon(): void;
}

/** Doubled until a map is newer, because all instances ask the nodes that are left. */
const REFRESH_PAUSE_MS = 100;
const MAX_PAUSE_MS = 1000;

/**
 * The newest map of the Cluster, with the moves that nodes have named since.
 * @param onMap called with each map
 */
export function createSlotTable(
  options: ClusterOptions,
  first: ClusterMap,
  onMap: (map: ClusterMap) => void,
): SlotTable {
  let map = first;
  let moved = new Map<number, HostPort>();
  let refreshing: Promise<void> | undefined;
  let refreshedMs = 0;
  let pauseMs = REFRESH_PAUSE_MS;
  onMap(first);
  const load = () => {
    refreshing ??= findClusterMap(options, map)
      .then((newer) => {
        if (newer.epoch !== map.epoch) pauseMs = REFRESH_PAUSE_MS;
        map = newer;
        moved = new Map();
        onMap(newer);
      })
      .finally(() => {
        refreshing = undefined;
        refreshedMs = performance.now();
      });
    return refreshing;
  };
  return {
    epoch: () => map.epoch,
    primaries: () => map.primaries,
    primaryOf: (slot) => moved.get(slot) ?? map.primaryOf(slot),
    move(slot, to) {
      moved.set(slot, to);
      pauseMs = REFRESH_PAUSE_MS;
    },
    refresh() {
      pauseMs = REFRESH_PAUSE_MS;
      return load();
    },
    refreshSoon() {
      if (refreshing !== undefined || performance.now() - refreshedMs <= pauseMs) return;
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
      load().catch(() => undefined);
    },
  };
}

/** The name of a server for logs and labels; `none` if no node serves the slot. */
export function formatServer(primary: HostPort | undefined): string {
  return primary === undefined ? "none" : formatHostPort(primary);
}
