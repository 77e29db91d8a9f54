import { useCallback } from "preact/hooks";
import type { HolderLimits, Usage } from "../../client/types.ts";
import { formatCount, formatNumber } from "../data/format.ts";
import { useCall } from "../data/use-call.ts";
import { Chart } from "../parts/chart.tsx";
import { Stat, Stats } from "../parts/stat.tsx";
import { CallView, Empty } from "../parts/states.tsx";
import type { Column } from "../parts/table.tsx";
import { Table } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";

export interface KeyUseProps {
  readonly readLimits: () => Promise<HolderLimits>;
  readonly readUsage: () => Promise<Usage>;
}

/** The remainder of a key's limits, and its usage. */
export function KeyUse({ readLimits, readUsage }: KeyUseProps) {
  const limits = useCall(useCallback(readLimits, [readLimits]));
  const usage = useCall(useCallback(readUsage, [readUsage]));
  return (
    <>
      <section>
        <h2>What is left</h2>
        <CallView call={limits} what="the limits">
          {(value) => <LimitsView limits={value} />}
        </CallView>
      </section>
      <section>
        <h2>Usage of the last 30 days</h2>
        <CallView call={usage} what="the usage">
          {(value) => <UsageView usage={value} />}
        </CallView>
      </section>
    </>
  );
}

type Quota = HolderLimits["quotas"][number];
type RateLimit = HolderLimits["rate_limits"][number];

function LimitsView({ limits }: { readonly limits: HolderLimits }) {
  const { quotas, rate_limits: rates } = limits;
  if (quotas.length === 0 && rates.length === 0) return <Empty>This key has no limits.</Empty>;
  return (
    <div class="stack">
      {quotas.map((quota) => (
        <QuotaView key={quota.name} quota={quota} />
      ))}
      {rates.length > 0 && (
        <Table caption="Rate limits" columns={RATE_LIMITS} rows={rates} keyOf={({ name }) => name} />
      )}
    </div>
  );
}

function QuotaView({ quota }: { readonly quota: Quota }) {
  const { name, unit, limit, used, remaining, resets_at } = quota;
  return (
    <div class="quota">
      <div class="quota-head">
        <strong>{name}</strong>
        <span class="number">
          {remaining === null
            ? `${formatCount(limit)} ${unit}, shared by the whole role`
            : `${formatCount(remaining)} of ${formatCount(limit)} ${unit} left`}
        </span>
      </div>
      {used !== null && (
        <progress max={Math.max(1, limit)} value={Math.min(used, limit)} aria-label={`Used of ${name}`} />
      )}
      <p class="muted">
        Starts again <Time at={resets_at} />
      </p>
    </div>
  );
}

const OF: Readonly<Record<RateLimit["per"], string>> = {
  key: "this key",
  owner: "all keys of the owner",
  role: "all keys of the role",
};

const RATE_LIMITS: readonly Column<RateLimit>[] = [
  { title: "Rate limit", cell: ({ name }) => name },
  { title: "Counts", cell: ({ per }) => OF[per] },
  {
    title: "Left now",
    kind: "number",
    cell: ({ remaining, capacity }) =>
      remaining === null ? "–" : `${formatCount(remaining)} of ${formatCount(capacity)}`,
  },
  {
    title: "Added each second",
    kind: "number",
    cell: ({ refill_per_second }) => formatNumber(refill_per_second),
  },
];

type Row = Usage["usage"][number];

function UsageView({ usage }: { readonly usage: Usage }) {
  const rows = usage.usage;
  if (usage.metering === "off" && rows.length === 0) return <Empty>Usage is not counted here.</Empty>;
  if (rows.length === 0) return <Empty>No requests yet.</Empty>;
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
  const { times, allowed, other } = dayByDay(usage);
  return (
    <div class="stack">
      <Stats>
        <Stat title="Allowed" value={formatCount(sum(({ allowed }) => allowed))} />
        <Stat
          title="Limited"
          value={formatCount(sum(({ limited }) => limited))}
          detail="by a limit or a quota"
        />
        <Stat title="Denied" value={formatCount(sum(({ denied }) => denied))} detail="for another reason" />
      </Stats>
      <Chart
        label="Requests of each day. The table below has the figures."
        kind="bars"
        heightPx={140}
        times={times}
        series={[
          { name: "all", color: "--accent", values: allowed },
          { name: "limited or denied", color: "--bad", values: other },
        ]}
      />
      <details>
        <summary>Figures of each day</summary>
        <Table caption="Usage of each day" columns={DAYS} rows={rows} keyOf={({ time }) => time ?? ""} />
      </details>
    </div>
  );
}

const DAY_SECONDS = 86_400;

/** Every day of the report, because a day without requests has no row. It has no bar either. Half a day more on both sides keeps the bars whole. */
function dayByDay({ usage, from, to }: Usage) {
  const byDay = new Map(usage.map((row) => [Date.parse(row.time ?? "") / 1000, row]));
  const [first, last] = [Date.parse(from) / 1000, Date.parse(to) / 1000];
  const days: number[] = [];
  for (let day = first; day < last; day += DAY_SECONDS) days.push(day);
  const values = (of: (row: typeof NOTHING) => number) => [
    null,
    ...days.map((day) => of(byDay.get(day) ?? NOTHING) || null),
    null,
  ];
  return {
    times: [first - DAY_SECONDS / 2, ...days, last - DAY_SECONDS / 2],
    // The bars overlap, so the higher one contains the lower one.
    allowed: values((row) => row.allowed + row.limited + row.denied),
    other: values((row) => row.limited + row.denied),
  };
}

const NOTHING: Pick<Row, "allowed" | "limited" | "denied"> = { allowed: 0, limited: 0, denied: 0 };

const DAYS: readonly Column<Row>[] = [
  { title: "Day (UTC)", cell: ({ time }) => <time dateTime={time ?? ""}>{time?.slice(0, 10)}</time> },
  { title: "Allowed", kind: "number", cell: ({ allowed }) => formatCount(allowed) },
  { title: "Limited", kind: "number", cell: ({ limited }) => formatCount(limited) },
  { title: "Denied", kind: "number", cell: ({ denied }) => formatCount(denied) },
];
