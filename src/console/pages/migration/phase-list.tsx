import type { MigrationStatus, Phase, PhaseEffect } from "../../../client/types.ts";
import { useMissingScope } from "../../data/context.ts";
import { formatCount } from "../../data/format.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import { MEANINGS } from "./phase-text.ts";

export interface PhaseListProps {
  readonly migration: MigrationStatus;
  onSwitch(phase: Phase): void;
}

/** The phases in order, with their effect on the keys that exist. */
export function PhaseList({ migration, onSwitch }: PhaseListProps) {
  const missing = useMissingScope("system:write");
  const columns: readonly Column<PhaseEffect>[] = [
    {
      title: "Phase",
      cell: ({ phase }) => (
        <div class="phase">
          <span>{phase}</span>
          <span class="meaning">{MEANINGS[phase]}</span>
        </div>
      ),
    },
    { title: "Stay valid", kind: "number", cell: ({ valid }) => <Count count={valid} /> },
    { title: "End later", kind: "number", cell: (effect) => <Ending effect={effect} /> },
    { title: "Denied at once", kind: "number", cell: ({ denied }) => <Count count={denied} isBad /> },
    {
      title: "Of these, used in 24 h",
      kind: "number",
      cell: (effect) => <Count count={effect.denied_used_last_day} isBad />,
    },
    {
      title: "In 30 days",
      kind: "number",
      cell: (effect) => <Count count={effect.denied_used_last_month} isBad />,
    },
    {
      title: "Switch",
      cell: ({ phase }) =>
        phase === migration.phase ? (
          <Badge tone="good">in force</Badge>
        ) : (
          <Button
            label={`Switch to ${phase}`}
            isDisabled={missing !== undefined}
            {...(missing !== undefined && { title: `Needs ${missing}` })}
            onClick={() => onSwitch(phase)}
          >
            Switch…
          </Button>
        ),
    },
  ];
  return (
    <div class="phases">
      <Table caption="Phases" columns={columns} rows={migration.effects} keyOf={({ phase }) => phase} />
    </div>
  );
}

/** A zero is muted, so that the numbers that matter are seen. */
function Count({ count, isBad = false }: { readonly count: number; readonly isBad?: boolean }) {
  if (count === 0) return <span class="muted">0</span>;
  return <span class={isBad ? "denied" : undefined}>{formatCount(count)}</span>;
}

function Ending({ effect: { ending, ends_from: from } }: { readonly effect: PhaseEffect }) {
  return (
    <span class="ending">
      <Count count={ending} />
      {from !== null && (
        <>
          , <Time at={from} />
        </>
      )}
    </span>
  );
}
