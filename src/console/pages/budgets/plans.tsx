import { useCallback } from "preact/hooks";
import type { PlanKeys, Plans as PlansBody } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatCount, formatNumber, formatPlural } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { Notice } from "../../parts/notice.tsx";
import { CallView, Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { hrefOf } from "../../shell/route.ts";
import { Counted, formatUnits } from "./counted.tsx";

const EVERY_MS = 30_000;
const COUNT_EVERY_MS = 5000;

/** What the policy offers, and how many use it. */
export function Plans() {
  const client = useClient();
  const plans = useCall(
    useCallback(() => client.policy.plans(), [client]),
    EVERY_MS,
  );
  const keys = useCall(
    useCallback(() => client.policy.planKeys(), [client]),
    COUNT_EVERY_MS,
  );
  return (
    <section>
      <h2>Plans</h2>
      <CallView call={plans} what="the plans">
        {(value) => <PlanTable plans={value} keys={keys.value} />}
      </CallView>
      <CallView call={keys} what="the numbers of keys">
        {({ complete, as_of, keys_read }) => (
          <Counted complete={complete} asOf={as_of} read={formatPlural(keys_read, "key")} />
        )}
      </CallView>
    </section>
  );
}

interface Row {
  readonly name: string;
  readonly limits: readonly string[];
  readonly quotas: readonly string[];
  readonly keys: number | undefined;
  readonly overrides: number;
}

function PlanTable({ plans, keys }: { readonly plans: PlansBody; readonly keys: PlanKeys | undefined }) {
  const unknown = unknownPlans(plans, keys);
  const countOf = (name: string) => keys?.plans.find((plan) => plan.name === name)?.keys;
  const rows = plans.plans.map(
    ({ name, rate_limits, quotas, overrides }): Row => ({
      name,
      limits: (rate_limits ?? []).map(formatLimit),
      quotas: (quotas ?? []).map(formatQuota),
      keys: countOf(name),
      overrides,
    }),
  );
  return (
    <>
      {unknown.length > 0 && (
        <Notice tone="warn">
          <p>The policy does not have these plans. They do not apply:</p>
          <ul>
            {unknown.map(({ name, keys, overrides }) => (
              <li key={name}>
                <code>{name}</code>: {formatPlural(keys, "key")}, {formatPlural(overrides, "override")}
              </li>
            ))}
          </ul>
        </Notice>
      )}
      {rows.length === 0 ? (
        <Empty>The policy has no plans. The limits of each role apply to its keys.</Empty>
      ) : (
        <Table caption="Plans" columns={COLUMNS} rows={rows} keyOf={({ name }) => name} />
      )}
    </>
  );
}

function unknownPlans({ unknown }: PlansBody, keys: PlanKeys | undefined) {
  const ofKeys = (keys?.plans ?? []).filter(({ known, keys }) => !known && keys > 0);
  const names = [...new Set([...unknown, ...ofKeys].map(({ name }) => name))];
  return names.map((name) => ({
    name,
    keys: ofKeys.find((plan) => plan.name === name)?.keys ?? 0,
    overrides: unknown.find((plan) => plan.name === name)?.overrides ?? 0,
  }));
}

type Limit = NonNullable<PlansBody["plans"][number]["rate_limits"]>[number];
type Quota = NonNullable<PlansBody["plans"][number]["quotas"]>[number];

function formatLimit({ name, per, capacity, refill_per_second }: Limit): string {
  return `${name}: ${formatCount(capacity)} per ${per}, ${formatNumber(refill_per_second)}/s`;
}

export function formatQuota({ name, per, limit, every, unit, time_zone }: Quota): string {
  const zone = time_zone === "UTC" ? "" : ` (${time_zone})`;
  return `${name}: ${formatUnits(limit, unit)} per ${per} and ${every}${zone}`;
}

const lines = (texts: readonly string[], otherwise: string) =>
  texts.length === 0 ? (
    <span class="muted">{otherwise}</span>
  ) : (
    <ul class="plain-list">
      {texts.map((text) => (
        <li key={text}>{text}</li>
      ))}
    </ul>
  );

const COLUMNS: readonly Column<Row>[] = [
  { title: "Plan", cell: ({ name }) => <code>{name}</code> },
  { title: "Rate limits", cell: ({ limits }) => lines(limits, "those of the role") },
  { title: "Quotas", cell: ({ quotas }) => lines(quotas, "those of the role") },
  {
    title: "Keys",
    kind: "number",
    cell: ({ keys }) => (keys === undefined ? <span class="muted">…</span> : formatCount(keys)),
  },
  {
    title: "Overrides",
    kind: "number",
    cell: ({ name, overrides }) =>
      overrides === 0 ? "0" : <a href={hrefOf(["budgets"], { plan: name })}>{formatCount(overrides)}</a>,
  },
];
