import type { ReplayedRequests } from "../../../client/types.ts";
import { formatCount, formatPlural } from "../../data/format.ts";
import { visibleText } from "../../data/visible-text.ts";
import { Badge } from "../../parts/badge.tsx";
import { Stat, Stats } from "../../parts/stat.tsx";
import { Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";

/** How the policy would have decided past requests. */
export function ReplayView({ replay }: { readonly replay: ReplayedRequests }) {
  const { requests, same, changed, undetermined, from, to, changes } = replay;
  if (requests === 0)
    return (
      <section>
        <h2>Replay</h2>
        <Empty>The audit files have no requests. With audit.requests: off none are written.</Empty>
        <Limitations replay={replay} />
      </section>
    );
  return (
    <section>
      <h2>Replay</h2>
      <p class="muted">
        {formatPlural(requests, "request")}, from <Time at={from} /> to <Time at={to} />
      </p>
      <Stats>
        <Stat title="Decided as before" value={formatCount(same)} />
        <Stat title="Decided differently" value={formatCount(changed)} />
        <Stat title="Undetermined" value={formatCount(undetermined)} />
      </Stats>
      {changes.length > 0 && (
        <Table
          caption="Changed decisions"
          columns={CHANGES}
          rows={changes}
          keyOf={(change) => JSON.stringify(change)}
        />
      )}
      <Limitations replay={replay} />
    </section>
  );
}

function Limitations({ replay }: { readonly replay: ReplayedRequests }) {
  return (
    <details>
      <summary>What the audit log does not show</summary>
      <ul class="limitations">
        {replay.undetermined_because.map(({ why, requests }) => (
          <li key={why}>
            {formatPlural(requests, "request")}: {visibleText(why)}
          </li>
        ))}
        {replay.unseen.map((text) => (
          <li key={text}>{visibleText(text)}</li>
        ))}
      </ul>
    </details>
  );
}

type Change = ReplayedRequests["changes"][number];

const CHANGES: readonly Column<Change>[] = [
  { title: "Route", cell: ({ route }) => <code>{visibleText(route)}</code> },
  { title: "Role", cell: ({ role }) => <code>{visibleText(role)}</code> },
  { title: "Was", cell: ({ was }) => <Outcome outcome={was} /> },
  { title: "Would be", cell: ({ would_be }) => <Outcome outcome={would_be} /> },
  { title: "Requests", kind: "number", cell: ({ requests }) => formatCount(requests) },
  { title: "First", cell: ({ first_at }) => <Time at={first_at} /> },
];

function Outcome({ outcome }: { readonly outcome: string }) {
  const tone = outcome === "allowed" ? "good" : outcome.endsWith("(shadow)") ? "warn" : "bad";
  return <Badge tone={tone}>{outcome}</Badge>;
}
