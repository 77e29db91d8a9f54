import "./migration.css";
import { useCallback, useState } from "preact/hooks";
import type { MigrationStatus, Phase, RoleUse, Status } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatCount, formatPlural, formatSeconds } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { visibleText } from "../../data/visible-text.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Facts } from "../../parts/facts.tsx";
import { Notice } from "../../parts/notice.tsx";
import { CallView, Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import { PhaseList } from "./phase-list.tsx";
import { SwitchDialog } from "./switch-dialog.tsx";

const EVERY_MS = 10_000;

/** The migration from V1 keys: where it stands, and what each phase would mean for the keys that exist. */
export function MigrationPage() {
  const client = useClient();
  const migration = useCall(
    useCallback(async () => {
      const [shown, { instances }] = await Promise.all([client.migration.show(), client.status()]);
      return { ...shown, instances };
    }, [client]),
    EVERY_MS,
  );
  return (
    <>
      <h1>Migration</h1>
      <CallView call={migration} what="the migration">
        {(value) => <MigrationView migration={value} onSwitched={migration.reload} />}
      </CallView>
    </>
  );
}

interface MigrationViewProps {
  readonly migration: MigrationStatus & Pick<Status, "instances">;
  onSwitched(): void;
}

function MigrationView({ migration, onSwitched }: MigrationViewProps) {
  const [wanted, setWanted] = useState<Phase | "from-policy" | undefined>(undefined);
  const { phase, chosen_by: chosenBy, policy_phase: policyPhase, roles, instances } = migration;
  const others = instances.filter((instance) => instance.phase !== null && instance.phase !== phase);
  return (
    <>
      <div class="facts-with-action">
        <Facts
          rows={[
            [
              "Phase",
              <Badge key="phase" tone={TONES[phase]}>
                {phase}
              </Badge>,
            ],
            [
              "Chosen by",
              chosenBy === "policy" ? "the policy" : `an operator; the policy says ${policyPhase}`,
            ],
            ["Deprecated since", <Time key="deprecated" at={migration.deprecated_at} />],
            ["Planned end of V1 keys", <Time key="sunset" at={migration.sunset} />],
            ["Exchange possible until", <Time key="until" at={migration.migrate_until} />],
            ["Overlap after an exchange", formatSeconds(migration.overlap_seconds)],
          ]}
        />
        {chosenBy === "operator" && (
          <Button onClick={() => setWanted("from-policy")}>Return to the policy</Button>
        )}
      </div>
      {others.length > 0 && (
        <Notice tone="warn">
          {formatPlural(others.length, "instance is", "instances are")} still in another phase. A switch
          reaches every instance within seconds.
        </Notice>
      )}
      <section>
        <h2>What each phase means for the V1 keys that exist</h2>
        <PhaseList migration={migration} onSwitch={setWanted} />
      </section>
      <section>
        <h2>V1 keys by role</h2>
        {roles.length === 0 ? (
          <Empty>No V1 keys. Import them with latchkey import, or register one.</Empty>
        ) : (
          <Table caption="V1 keys by role" columns={ROLES} rows={roles} keyOf={({ role }) => role} />
        )}
      </section>
      {wanted !== undefined && (
        <SwitchDialog
          migration={migration}
          wanted={wanted}
          onClose={() => setWanted(undefined)}
          onSwitched={onSwitched}
        />
      )}
    </>
  );
}

const TONES = {
  silent: "neutral",
  gradual: "neutral",
  active: "good",
  deprecated: "warn",
  removed: "bad",
} as const;

const ROLES: readonly Column<RoleUse>[] = [
  { title: "Role", cell: ({ role }) => <code>{visibleText(role)}</code> },
  { title: "V1 keys", kind: "number", cell: ({ keys }) => formatCount(keys) },
  { title: "Used in 24 h", kind: "number", cell: (use) => formatCount(use.used_last_day) },
  { title: "In 7 days", kind: "number", cell: (use) => formatCount(use.used_last_week) },
  { title: "In 30 days", kind: "number", cell: (use) => formatCount(use.used_last_month) },
  { title: "Without a V2 key", kind: "number", cell: ({ unmigrated }) => formatCount(unmigrated.keys) },
  {
    title: "Of these, used in 30 days",
    kind: "number",
    cell: ({ unmigrated }) => formatCount(unmigrated.used_last_month),
  },
];
