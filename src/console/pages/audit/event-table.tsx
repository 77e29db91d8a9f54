import { formatTime } from "../../data/format.ts";
import { Badge } from "../../parts/badge.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { hrefOf } from "../../shell/route.ts";
import type { AuditEvent } from "./use-events.ts";

export function EventTable({ events }: { readonly events: readonly AuditEvent[] }) {
  return <Table caption="Audit events" columns={COLUMNS} rows={events} keyOf={({ cursor }) => cursor} />;
}

const COLUMNS: readonly Column<AuditEvent>[] = [
  { title: "Time", cell: ({ time }) => <EventTime at={time} /> },
  {
    title: "Event",
    cell: ({ event, outcome }) => (
      <>
        <code>{event}</code> {outcome === "refused" && <Badge tone="bad">denied</Badge>}
      </>
    ),
  },
  { title: "About", cell: (event) => <Subject event={event} /> },
  { title: "Actor", cell: ({ actor }) => <code>{actor}</code> },
  { title: "From", cell: ({ address }) => <span class="number">{address ?? ""}</span> },
  { title: "Details", cell: ({ reason }) => <span class="wrap">{reason ?? ""}</span> },
];

/** When something happened matters more here than how long ago it was. */
function EventTime({ at }: { readonly at: string }) {
  return (
    <time class="number nowrap" dateTime={at} title={at}>
      {formatTime(Date.parse(at))}
    </time>
  );
}

/** The key if there is one, and what it belongs to. */
function Subject({ event: { key_id, family, owner, role, plan } }: { readonly event: AuditEvent }) {
  const isOwnFamily = owner === null || owner === family;
  const more = [
    ...(isOwnFamily ? [] : [`owner ${owner}`]),
    ...(role === null || key_id !== null ? [] : [`role ${role}`]),
    ...(plan === null ? [] : [`plan ${plan}`]),
  ];
  return (
    <div class="subject">
      {key_id !== null && (
        <a href={hrefOf(["keys", key_id])}>
          <code>{key_id}</code>
        </a>
      )}
      {key_id === null && family !== null && <code>{family}</code>}
      {more.length > 0 && <span class="muted wrap">{more.join(", ")}</span>}
    </div>
  );
}
