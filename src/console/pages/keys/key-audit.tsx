import type { AuditEvents } from "../../../client/types.ts";
import type { CallState } from "../../data/use-call.ts";
import { CallView, Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import type { AuditLine } from "./family-events.ts";
import { Actor, ShortKeyLink } from "./key-parts.tsx";

const SHOWN = 20;

/** The newest audit events of the key's family. */
export function KeyAudit({ audit }: { readonly audit: CallState<AuditEvents> }) {
  return (
    <section>
      <h2>Audit</h2>
      <CallView call={audit} what="the audit events">
        {({ events }) =>
          events.length === 0 ? (
            <Empty>
              <p>The newest audit events have none of this family. The audit log has the earlier ones.</p>
            </Empty>
          ) : (
            <Table
              caption="Audit events of the family"
              columns={COLUMNS}
              rows={events.toReversed().slice(0, SHOWN)}
              keyOf={({ event_id }) => event_id}
              hasRowHeads={false}
            />
          )
        }
      </CallView>
    </section>
  );
}

const COLUMNS: readonly Column<AuditLine>[] = [
  { title: "Time", cell: ({ time }) => <Time at={time} /> },
  { title: "Event", cell: ({ event }) => event },
  {
    title: "Outcome",
    cell: ({ outcome, reason }) =>
      outcome === "done" ? (reason ?? "done") : `denied: ${reason ?? "unknown"}`,
  },
  { title: "By", cell: ({ actor }) => <Actor actor={actor} /> },
  { title: "From", cell: ({ address }) => address ?? <span class="muted">unknown</span> },
  { title: "Key", cell: ({ key_id }) => (key_id === null ? "" : <ShortKeyLink keyId={key_id} />) },
];
