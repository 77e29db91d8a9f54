import { useCallback, useMemo, useState } from "preact/hooks";
import type { TopUsage as TopUsageBody } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatCount, formatPlural } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { Meter } from "../../parts/meter.tsx";
import { Notice } from "../../parts/notice.tsx";
import { Select } from "../../parts/select.tsx";
import { CallView, Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Counted } from "./counted.tsx";

type Of = TopUsageBody["of"];
type By = TopUsageBody["by"];
type Days = "1" | "7" | "30";

const EVERY_MS = 10_000;

/** Who and what causes the load. */
export function TopUsage() {
  const client = useClient();
  const [of, setOf] = useState<Of>("owner");
  const [by, setBy] = useState<By>("requests");
  const [days, setDays] = useState<Days>("7");
  // A route has no cost.
  const measure = of === "route" && by === "cost" ? "requests" : by;
  const top = useCall(
    useCallback(() => client.usage.top({ of, by: measure, days }), [client, of, measure, days]),
    EVERY_MS,
  );
  return (
    <section>
      <div class="heading">
        <h2>Largest usage</h2>
        <span class="spring" />
        <Select<Of>
          label="Of"
          value={of}
          options={[
            ["owner", "owners"],
            ["family", "families"],
            ["route", "routes"],
          ]}
          onChange={(chosen) => setOf(chosen)}
        />
        <Select<By>
          label="By"
          value={measure}
          options={[...(of === "route" ? [] : [COST]), ...MEASURES]}
          onChange={(chosen) => setBy(chosen)}
        />
        <Select<Days>
          label="In"
          value={days}
          options={[
            ["1", "today (UTC)"],
            ["7", "7 days"],
            ["30", "30 days"],
          ]}
          onChange={(chosen) => setDays(chosen)}
        />
      </div>
      <CallView call={top} what="the usage">
        {(value) => <Ranking top={value} />}
      </CallView>
    </section>
  );
}

const COST = ["cost", "cost"] as const;
const MEASURES = [
  ["requests", "requests"],
  ["denied", "denied requests"],
  ["limited", "limited requests"],
] as const;

function Ranking({ top }: { readonly top: TopUsageBody }) {
  const columns = useMemo(() => columnsOf(top), [top]);
  const { complete, as_of, families_read, metering } = top;
  return (
    <>
      {metering === "off" && <Notice tone="warn">Usage is not counted: the setting USAGE is off.</Notice>}
      {metering === "stopped" && (
        <Notice tone="warn">Usage is not counted any more: it has reached USAGE_MAX_BYTES.</Notice>
      )}
      {top.top.length === 0 ? (
        <Empty>{complete ? "Nothing was used in this period." : "Counting…"}</Empty>
      ) : (
        <Table caption="Largest usage" columns={columns} rows={top.top} keyOf={({ name }) => name} />
      )}
      <Counted complete={complete} asOf={as_of} read={formatPlural(families_read, "family", "families")} />
    </>
  );
}

type Row = TopUsageBody["top"][number];

function columnsOf({ of, by, top }: TopUsageBody): readonly Column<Row>[] {
  const measure = (row: Row) => {
    if (by === "requests") return row.allowed + row.denied + row.limited;
    return row[by] ?? 0;
  };
  const most = Math.max(1, ...top.map(measure));
  return [
    { title: TITLES[of], cell: ({ name }) => <code>{name}</code> },
    ...(of === "family" ? [{ title: "Owner", cell: ({ owner }: Row) => <code>{owner}</code> }] : []),
    { title: MEASURE_TITLES[by], cell: (row) => <Meter percent={(100 * measure(row)) / most} /> },
    { title: "Allowed", kind: "number", cell: ({ allowed }) => formatCount(allowed) },
    { title: "Denied", kind: "number", cell: ({ denied }) => formatCount(denied) },
    { title: "Limited", kind: "number", cell: ({ limited }) => formatCount(limited) },
    ...(of === "route"
      ? []
      : [{ title: "Cost", kind: "number" as const, cell: ({ cost }: Row) => formatCount(cost ?? 0) }]),
  ];
}

const TITLES = { owner: "Owner", family: "Family", route: "Route" } as const;
const MEASURE_TITLES = {
  requests: "All requests",
  cost: "Share of the cost",
  denied: "Share of the denied",
  limited: "Share of the limited",
} as const;
