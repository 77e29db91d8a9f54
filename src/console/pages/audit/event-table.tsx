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
  { title: "Address", cell: ({ address }) => <span class="number">{address ?? ""}</span> },
  { title: "Details", cell: ({ reason }) => <span class="wrap">{reason ?? ""}</span> },
];

const short = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/** When something happened matters more here than how long ago it was. */
function EventTime({ at }: { readonly at: string }) {
  return (
    <time class="number nowrap light" dateTime={at} title={`${formatTime(Date.parse(at))} (${at})`}>
      {new Date(at).getFullYear() === new Date().getFullYear()
        ? short.format(Date.parse(at))
        : formatTime(Date.parse(at))}
    </time>
  );
}

/** The key if there is one, and what it belongs to. */
function Subject({ event: { key_id, family, owner, role, plan } }: { readonly event: AuditEvent }) {
  const ownerName = owner === family ? null : owner;
  const named = [
    ...(family !== null && key_id === null ? [["family", family] as const] : []),
    ...(ownerName === null ? [] : [["owner", ownerName] as const]),
    ...(role === null || key_id !== null ? [] : [["role", role] as const]),
    ...(plan === null ? [] : [["plan", plan] as const]),
  ];
  return (
    <div class="subject">
      {key_id !== null && (
        <a href={hrefOf(["keys", key_id])}>
          <code>{key_id}</code>
        </a>
      )}
      {named.length > 0 && (
        <span>
          {named.map(([name, value]) => (
            <span key={name} class="named">
              <span class="muted">{name}</span> <code>{value}</code>
            </span>
          ))}
        </span>
      )}
    </div>
  );
}
