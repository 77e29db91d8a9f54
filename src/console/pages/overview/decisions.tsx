import type { Figures } from "../../../client/types.ts";
import { formatNumber } from "../../data/format.ts";
import { Badge } from "../../parts/badge.tsx";
import { Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";

type Row = Figures["decisions"][number];

/** The decisions by verdict and reason, the most frequent first. A reason stays in its place while its rate is zero. */
export function DecisionTable({ figures: { decisions } }: { readonly figures: Figures }) {
  if (decisions.length === 0)
    return <Empty>No decision yet. Point Envoy's ext_authz filter to this instance.</Empty>;
  const rows = decisions.toSorted((left, right) => right.per_second - left.per_second);
  return (
    <Table
      caption="Decisions by verdict and reason"
      columns={COLUMNS}
      rows={rows}
      keyOf={({ mode, reason }) => `${mode} ${reason}`}
    />
  );
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "Reason", cell: ({ reason }) => <code>{reason}</code> },
  {
    title: "Verdict",
    cell: ({ verdict, mode }) => (
      <>
        <Badge tone={verdict === "allow" ? "good" : "bad"}>{verdict}</Badge>
        {mode === "shadow" && (
          <>
            {" "}
            <Badge tone="neutral">shadow</Badge>
          </>
        )}
      </>
    ),
  },
  { title: "A second", kind: "number", cell: ({ per_second }) => formatNumber(per_second) },
];
