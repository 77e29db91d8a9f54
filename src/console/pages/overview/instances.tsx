import type { Status } from "../../../client/types.ts";
import { formatNumber, formatSeconds } from "../../data/format.ts";
import type { RatePoint } from "../../data/use-figures.ts";
import { Badge } from "../../parts/badge.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";

type Instance = Status["instances"][number];

export interface InstanceTableProps {
  readonly status: Status;
  /** The present rates of this instance, which may have no heartbeat. */
  readonly own: Omit<RatePoint, "at">;
}

/** The instances of the fleet, this one first. What differs from this one is marked. */
export function InstanceTable({ status: { instances }, own }: InstanceTableProps) {
  const rows = instances.map((instance) =>
    instance.this
      ? { ...instance, allowed_per_second: own.allowed, denied_per_second: own.denied }
      : instance,
  );
  return (
    <Table
      caption="Instances"
      columns={columnsOf(instances.find((instance) => instance.this))}
      rows={rows}
      keyOf={({ started_at, kids, version, ...instance }) =>
        [instance.this, started_at, version, ...kids].join(" ")
      }
    />
  );
}

function columnsOf(own: Instance | undefined): readonly Column<Instance>[] {
  const marked = (text: string, ownText: string | null | undefined) =>
    text === ownText ? text : <Badge tone="warn">{text}</Badge>;
  return [
    { title: "Instance", cell: (instance) => (instance.this ? "this one" : "another") },
    { title: "Version", cell: ({ version }) => marked(version ?? "unknown", own?.version ?? "unknown") },
    { title: "Up for", kind: "number", cell: (instance) => uptimeOf(instance) },
    { title: "Heartbeat", cell: ({ last_heartbeat_at }) => <Time at={last_heartbeat_at} /> },
    { title: "Allowed/s", kind: "number", cell: ({ allowed_per_second }) => rateText(allowed_per_second) },
    { title: "Denied/s", kind: "number", cell: ({ denied_per_second }) => rateText(denied_per_second) },
    { title: "V1 keys", cell: ({ phase }) => marked(phase ?? "unknown", own?.phase ?? "unknown") },
    { title: "Signing keys", cell: ({ kids }) => <Kids kids={kids} signer={own?.kids[0]} /> },
  ];
}

function uptimeOf({ started_at, last_heartbeat_at }: Instance): string {
  return formatSeconds((Date.parse(last_heartbeat_at) - Date.parse(started_at)) / 1000);
}

function rateText(rate: number | null): string {
  return rate === null ? "–" : formatNumber(rate);
}

function Kids({ kids, signer }: { readonly kids: readonly string[]; readonly signer: string | undefined }) {
  return kids.map((kid, at) => (
    <span key={kid} class="kid">
      <code>{kid}</code>
      {at === 0 && <Badge tone={kid === signer ? "neutral" : "warn"}>signs</Badge>}
    </span>
  ));
}
