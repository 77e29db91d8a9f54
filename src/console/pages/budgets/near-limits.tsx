import { useCallback, useState } from "preact/hooks";
import type { NearLimits as NearLimitsBody } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatCount, formatPlural } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { Badge } from "../../parts/badge.tsx";
import { Meter } from "../../parts/meter.tsx";
import { Select } from "../../parts/select.tsx";
import { CallView, Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import { Counted, formatUnits } from "./counted.tsx";

type Share = "50" | "80" | "90" | "100";
type Mode = "enforce" | "shadow";

const EVERY_MS = 5000;

/** Who will soon be denied. */
export function NearLimits() {
  const client = useClient();
  const [share, setShare] = useState<Share>("80");
  const [mode, setMode] = useState<Mode>("enforce");
  const near = useCall(
    useCallback(() => client.limits.near({ above: Number(share), mode }), [client, share, mode]),
    EVERY_MS,
  );
  return (
    <section>
      <div class="heading">
        <h2>Quotas near their end</h2>
        <span class="spring" />
        <Select<Share>
          label="Used at least"
          value={share}
          options={[
            ["50", "50%"],
            ["80", "80%"],
            ["90", "90%"],
            ["100", "100%"],
          ]}
          onChange={(chosen) => setShare(chosen)}
        />
        <Select<Mode>
          label="Mode"
          value={mode}
          options={[
            ["enforce", "enforced"],
            ["shadow", "shadow"],
          ]}
          onChange={(chosen) => setMode(chosen)}
        />
      </div>
      <CallView call={near} what="the quotas">
        {(value) => <Found near={value} />}
      </CallView>
    </section>
  );
}

function Found({ near }: { readonly near: NearLimitsBody }) {
  const { quotas, total, above, complete, as_of, counters_read } = near;
  return (
    <>
      {quotas.length === 0 ? (
        <Empty>
          {complete ? `No quota has used ${above}% of its limit in its present window.` : "Counting…"}
        </Empty>
      ) : (
        <Table
          caption="Quotas near their end"
          columns={COLUMNS}
          rows={quotas}
          keyOf={({ name, mode, subject }) => `${name} ${mode} ${subject}`}
        />
      )}
      {total > quotas.length && (
        <p>
          These are the {formatCount(quotas.length)} with the largest share of {formatCount(total)}.
        </p>
      )}
      <Counted complete={complete} asOf={as_of} read={formatPlural(counters_read, "counter")} />
    </>
  );
}

type Near = NearLimitsBody["quotas"][number];

const SUBJECTS = { key: "family", owner: "owner", role: "role" } as const;

const COLUMNS: readonly Column<Near>[] = [
  {
    title: "Subject",
    cell: ({ per, subject }) => (
      <>
        <span class="muted">{SUBJECTS[per]}</span> <code>{subject}</code>
      </>
    ),
  },
  {
    title: "Share",
    cell: ({ percent }) => (
      <span class="share">
        <Badge tone={percent >= 100 ? "bad" : "warn"}>{percent}%</Badge>
        <Meter percent={percent} tone={percent >= 100 ? "bad" : "warn"} />
      </span>
    ),
  },
  { title: "Quota", cell: ({ name, every }) => `${name}, every ${every}` },
  { title: "Used", kind: "number", cell: ({ used, leased }) => formatCount(used + leased) },
  { title: "Limit", kind: "number", cell: ({ limit, unit }) => formatUnits(limit, unit) },
  { title: "Resets", cell: ({ resets_at }) => <Time at={resets_at} /> },
];
