import type { ComponentChildren } from "preact";
import type { Status } from "../../../client/types.ts";
import { formatCount, formatNumber } from "../../data/format.ts";
import { Facts } from "../../parts/facts.tsx";
import { Time } from "../../parts/time.tsx";

/** Where the store is, how it is, and how full. */
export function StoreFacts({ store, capacity }: Pick<Status, "store" | "capacity">) {
  const known = (count: number | null) => (count === null ? "unknown" : formatCount(count));
  const ofRedis: readonly (readonly [string, ComponentChildren])[] = [
    ["Topology", store.topology ?? "unknown"],
    ["Primary", store.primary ?? "unknown"],
    ["Clock ahead of Redis", `${formatNumber(store.clock_ahead_seconds)} s`],
    ["Failovers since the start", formatCount(store.failovers)],
    ["Last failover", <Time key="failover" at={store.last_failover_at} />],
    ["Changes kept for a failover", formatCount(capacity.remembered_changes)],
  ];
  return (
    <div class="panel">
      <Facts
        rows={[
          ["Kind", store.kind === "embedded" ? "embedded (SQLite)" : "Redis"],
          ...(store.kind === "embedded" ? [] : ofRedis),
          ["Unexpired keys", known(capacity.keys)],
          [
            "Self-service keys",
            `${known(capacity.self_service_keys)} of ${formatCount(capacity.self_service_keys_limit)}`,
          ],
          ["Revocations in memory", formatCount(capacity.revocations)],
        ]}
      />
    </div>
  );
}
