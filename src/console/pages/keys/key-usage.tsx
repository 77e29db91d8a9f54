import { useCallback, useMemo } from "preact/hooks";
import type { UsageReport } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatCount, formatPlural } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { Chart } from "../../parts/chart.tsx";
import { Notice } from "../../parts/notice.tsx";
import { CallView, Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import type { UsageDay } from "./usage-days.ts";
import { usageDays } from "./usage-days.ts";

const EVERY_MS = 60_000;

/** The requests of the key's family by day. */
export function KeyUsage({ keyId }: { readonly keyId: string }) {
  const client = useClient();
  const usage = useCall(
    useCallback(() => client.usage.report({ key_id: keyId, by: "day" }), [client, keyId]),
    EVERY_MS,
  );
  return (
    <section>
      <h2>Usage</h2>
      <CallView call={usage} what="the usage">
        {(report) => <Report report={report} />}
      </CallView>
    </section>
  );
}

function Report({ report }: { readonly report: UsageReport }) {
  const days = useMemo(() => usageDays(report), [report]);
  const sum = (of: (day: UsageDay) => number) => days.reduce((total, day) => total + of(day), 0);
  const [allowed, denied, limited] = [
    sum((day) => day.allowed),
    sum((day) => day.denied),
    sum((day) => day.limited),
  ];
  return (
    <>
      {report.metering !== "on" && (
        <Notice tone="warn">
          <p>
            {report.metering === "off"
              ? "This instance does not count usage."
              : "Usage has reached USAGE_MAX_BYTES: newer usage is missing."}
          </p>
        </Notice>
      )}
      {allowed + denied + limited === 0 ? (
        <Empty>
          <p>The family made no request in the last {formatPlural(days.length, "day")}.</p>
        </Empty>
      ) : (
        <>
          <p>
            {formatCount(allowed)} allowed, {formatCount(limited)} limited and {formatCount(denied)} otherwise
            denied requests of the family in {formatPlural(days.length, "day")}.
          </p>
          <DayChart days={days} />
          <details>
            <summary>Days as a table</summary>
            <Table
              caption="Requests by day"
              columns={COLUMNS}
              rows={days.toReversed().filter((day) => day.allowed + day.denied + day.limited > 0)}
              keyOf={({ at }) => String(at)}
            />
          </details>
        </>
      )}
    </>
  );
}

function DayChart({ days }: { readonly days: readonly UsageDay[] }) {
  const times = useMemo(() => days.map(({ at }) => at), [days]);
  const series = useMemo(
    () => [
      { name: "Allowed", color: "--good", values: days.map(({ allowed }) => allowed) } as const,
      { name: "Limited", color: "--warn", values: days.map(({ limited }) => limited) } as const,
      { name: "Denied", color: "--bad", values: days.map(({ denied }) => denied) } as const,
    ],
    [days],
  );
  return (
    <Chart label="Requests by day" kind="bars" isUtc times={times} series={series} format={formatCount} />
  );
}

const COLUMNS: readonly Column<UsageDay>[] = [
  { title: "Day (UTC)", cell: ({ at }) => new Date(at * 1000).toISOString().slice(0, 10) },
  { title: "Allowed", kind: "number", cell: ({ allowed }) => formatCount(allowed) },
  { title: "Limited", kind: "number", cell: ({ limited }) => formatCount(limited) },
  { title: "Denied", kind: "number", cell: ({ denied }) => formatCount(denied) },
];
