import { useCallback } from "preact/hooks";
import type { Limits } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatCount, formatNumber } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { CallView, Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";

const EVERY_MS = 10_000;

/** The limits and quotas that apply to a key, with what is left of them. */
export function KeyLimits({ keyId }: { readonly keyId: string }) {
  const client = useClient();
  const limits = useCall(
    useCallback(() => client.limits.show(keyId), [client, keyId]),
    EVERY_MS,
  );
  return (
    <section>
      <h2>Limits and quotas</h2>
      <CallView call={limits} what="the limits">
        {(value) => <Tables limits={value} />}
      </CallView>
    </section>
  );
}

function Tables({ limits: { plan, limits, quotas } }: { readonly limits: Limits }) {
  return (
    <>
      <p class="muted">{plan === null ? "Those of its role." : `Those of the plan ${plan}.`}</p>
      {limits.length === 0 && quotas.length === 0 && (
        <Empty>
          <p>Nothing limits this key.</p>
        </Empty>
      )}
      {quotas.length > 0 && (
        <Table caption="Quotas" columns={QUOTAS} rows={quotas} keyOf={({ name }) => name} />
      )}
      {limits.length > 0 && (
        <Table caption="Rate limits" columns={LIMITS} rows={limits} keyOf={({ name }) => name} />
      )}
    </>
  );
}

/** Of something that has `whole`, how much is left. */
function Left({
  left,
  whole,
  what,
}: {
  readonly left: number;
  readonly whole: number;
  readonly what: string;
}) {
  const part = whole > 0 ? Math.min(1, Math.max(0, left / whole)) : 0;
  return (
    <span class="left">
      <meter min={0} max={1} low={0.1} high={0.2} optimum={1} value={part} aria-label={`${what} left`} />
      <span class="number">
        {formatCount(Math.max(0, left))} of {formatCount(whole)}
      </span>
    </span>
  );
}

const SHARED = { key: "the family", owner: "the owner", role: "the role" } as const;

const QUOTAS: readonly Column<Limits["quotas"][number]>[] = [
  { title: "Quota", cell: ({ name }) => name },
  {
    title: "Left",
    cell: ({ name, limit, used, leased }) => <Left left={limit - used - leased} whole={limit} what={name} />,
  },
  { title: "Unit", cell: ({ unit }) => unit },
  { title: "Used", kind: "number", cell: ({ used }) => formatCount(used) },
  { title: "Shared by", cell: ({ per }) => SHARED[per] },
  { title: "Resets", cell: ({ resets_at }) => <Time at={resets_at} /> },
];

const LIMITS: readonly Column<Limits["limits"][number]>[] = [
  { title: "Rate limit", cell: ({ name }) => name },
  {
    title: "Tokens left",
    cell: ({ name, capacity, tokens }) => <Left left={Math.floor(tokens)} whole={capacity} what={name} />,
  },
  { title: "In leases", kind: "number", cell: ({ leased_tokens }) => formatCount(Math.floor(leased_tokens)) },
  {
    title: "Refill",
    kind: "number",
    cell: ({ refill_per_second }) => `${formatNumber(refill_per_second)}/s`,
  },
  { title: "Shared by", cell: ({ per }) => SHARED[per] },
];
