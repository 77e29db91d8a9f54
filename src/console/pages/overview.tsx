import { useCallback } from "preact/hooks";
import type { Status } from "../../client/types.ts";
import { useClient } from "../data/context.ts";
import { formatCount, formatNumber, formatPlural, formatSeconds } from "../data/format.ts";
import { useCall } from "../data/use-call.ts";
import { Badge } from "../parts/badge.tsx";
import { Facts } from "../parts/facts.tsx";
import { Stat, Stats } from "../parts/stat.tsx";
import { CallView } from "../parts/states.tsx";
import type { Column } from "../parts/table.tsx";
import { Table } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";

const EVERY_MS = 5000;

/** What on-call looks at first. */
export function Overview() {
  const client = useClient();
  const status = useCall(
    useCallback(() => client.status(), [client]),
    EVERY_MS,
  );
  return (
    <>
      <h1>Overview</h1>
      <CallView call={status} what="the status">
        {(value) => <StatusView status={value} />}
      </CallView>
    </>
  );
}

function StatusView({ status }: { readonly status: Status }) {
  const { instance, store, capacity } = status;
  return (
    <>
      <Stats>
        <Stat
          title="Instance"
          value={
            <Badge tone={instance.ready ? "good" : "bad"}>{instance.ready ? "ready" : "not ready"}</Badge>
          }
          detail={`up for ${formatSeconds(instance.uptime_seconds)}`}
        />
        <Stat
          title="Store"
          value={
            <Badge tone={store.up ? "good" : "bad"}>
              {store.up ? "accepts writes" : "accepts no writes"}
            </Badge>
          }
          detail={store.topology === null ? store.kind : `Redis (${store.topology})`}
        />
        <Stat
          title="Keys"
          value={capacity.keys === null ? "unknown" : formatCount(capacity.keys)}
          detail={`${formatPlural(capacity.revocations, "revocation")} in memory`}
        />
      </Stats>
      <section>
        <h2>Instances</h2>
        <Table caption="Instances" columns={INSTANCES} rows={status.instances} keyOf={keyOfInstance} />
      </section>
      <section>
        <h2>Store</h2>
        <StoreFacts store={store} />
      </section>
    </>
  );
}

function StoreFacts({ store }: { readonly store: Status["store"] }) {
  const staleness = store.revocation_staleness_seconds;
  return (
    <Facts
      rows={[
        ["Kind", store.kind],
        ["Primary", store.primary ?? "none"],
        ["Revocation feed", staleness === null ? "never received" : `${formatNumber(staleness)} s old`],
        ["Clock ahead of the store", `${formatNumber(store.clock_ahead_seconds)} s`],
        ["Failovers since the start", formatCount(store.failovers)],
        ["Last failover", <Time key="failover" at={store.last_failover_at} />],
      ]}
    />
  );
}

type Instance = Status["instances"][number];

const keyOfInstance = ({ started_at, kids, version }: Instance) => `${started_at} ${version} ${kids.join()}`;

const INSTANCES: readonly Column<Instance>[] = [
  { title: "Instance", cell: ({ this: isThis }) => (isThis ? "this one" : "another") },
  { title: "Version", cell: ({ version }) => version ?? "unknown" },
  { title: "Started", cell: ({ started_at }) => <Time at={started_at} /> },
  { title: "Heartbeat", cell: ({ last_heartbeat_at }) => <Time at={last_heartbeat_at} /> },
  { title: "Phase of V1 keys", cell: ({ phase }) => phase ?? "unknown" },
  {
    title: "Signing keys",
    cell: ({ kids }) =>
      kids.map((kid) => (
        <code key={kid} class="kid">
          {kid}
        </code>
      )),
  },
];
