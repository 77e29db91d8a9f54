import { useCallback, useMemo, useState } from "preact/hooks";
import type { LatchkeyClient } from "../../../client/client.ts";
import { LatchkeyProblem } from "../../../client/problem.ts";
import type { AppliedOverride } from "../../../client/types.ts";
import { useClient, useMissingScope } from "../../data/context.ts";
import { formatCount } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { CallView, Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import { hrefOf } from "../../shell/route.ts";
import { ClearOverrideDialog, SetOverrideDialog } from "./override-dialogs.tsx";
import { QuotaList, SubjectName } from "./override-facts.tsx";
import type { Chosen } from "./override-finder.tsx";
import { OverrideFinder } from "./override-finder.tsx";
import { guessSubject, subjectOf, toLimitSubject } from "./subject.ts";

interface Found {
  readonly overrides: readonly AppliedOverride[];
  readonly isMore: boolean;
}

const LIMIT = 500;

type Change =
  | { readonly kind: "set"; readonly former: AppliedOverride | undefined }
  | { readonly kind: "clear"; readonly override: AppliedOverride };

/** What owners and families get instead of what their keys and roles say. */
export function Overrides({ plan, subject }: Chosen) {
  const client = useClient();
  const missing = useMissingScope("limits:write");
  const [change, setChange] = useState<Change | undefined>(undefined);
  const found = useCall(
    useCallback(() => find(client, { plan, subject }), [client, plan, subject]),
    30_000,
  );
  const close = () => setChange(undefined);
  const done = () => {
    close();
    found.reload();
  };
  const columns = useMemo(() => columnsOf(missing === undefined, setChange), [missing]);
  return (
    <section>
      <div class="heading">
        <h2>Overrides</h2>
        <span class="spring" />
        <OverrideFinder key={subject} plan={plan} subject={subject} />
        <Button
          kind="primary"
          isDisabled={missing !== undefined}
          title={missing === undefined ? "Set an override" : `This session lacks the scope ${missing}.`}
          onClick={() => setChange({ kind: "set", former: undefined })}
        >
          Set an override…
        </Button>
      </div>
      <CallView call={found} what="the overrides">
        {(value) => <FoundOverrides found={value} chosen={{ plan, subject }} columns={columns} />}
      </CallView>
      {change?.kind === "set" && <SetOverrideDialog former={change.former} onClose={close} onDone={done} />}
      {change?.kind === "clear" && (
        <ClearOverrideDialog override={change.override} onClose={close} onDone={done} />
      )}
    </section>
  );
}

async function find(client: LatchkeyClient, { plan, subject }: Chosen): Promise<Found> {
  if (subject === "") {
    const page = await client.limits.listOverrides({ limit: LIMIT, ...(plan !== "" && { plan }) });
    return { overrides: page.overrides, isMore: page.next_cursor !== null };
  }
  try {
    const shown = await client.limits.showOverride(toLimitSubject(guessSubject(subject)));
    return { overrides: [shown], isMore: false };
  } catch (problem) {
    if (problem instanceof LatchkeyProblem && problem.status === 404) return { overrides: [], isMore: false };
    throw problem;
  }
}

interface FoundOverridesProps {
  readonly found: Found;
  readonly chosen: Chosen;
  readonly columns: readonly Column<AppliedOverride>[];
}

function FoundOverrides({ found: { overrides, isMore }, chosen, columns }: FoundOverridesProps) {
  const { plan, subject } = chosen;
  return (
    <>
      {plan !== "" && subject === "" && (
        <p>
          Only overrides with the plan <code>{plan}</code>. <a href={hrefOf(["budgets"])}>Show all</a>
        </p>
      )}
      {overrides.length === 0 ? (
        <Empty>
          {subject !== "" ? (
            <>
              <code>{subject}</code> has no override. <a href={hrefOf(["budgets"])}>Show all</a>
            </>
          ) : plan === "" ? (
            "No overrides. Set one to give an owner or a family other limits."
          ) : (
            "No override names this plan."
          )}
        </Empty>
      ) : (
        <Table
          caption="Overrides"
          columns={columns}
          rows={overrides}
          keyOf={({ owner, family }) => `${owner} ${family}`}
        />
      )}
      {isMore && (
        <p>
          These are the first {formatCount(overrides.length)}. Find others by their owner or family, or with{" "}
          <code>latchkey limits list</code>.
        </p>
      )}
    </>
  );
}

function columnsOf(
  mayChange: boolean,
  onChange: (change: Change) => void,
): readonly Column<AppliedOverride>[] {
  return [
    { title: "For", cell: (override) => <SubjectName subject={subjectOf(override)} /> },
    {
      title: "Plan",
      cell: ({ plan, plan_known }) =>
        plan === null ? (
          ""
        ) : (
          <>
            <code>{plan}</code> {!plan_known && <Badge tone="warn">not in the policy</Badge>}
          </>
        ),
    },
    { title: "Quotas", cell: ({ quotas }) => <QuotaList quotas={quotas} /> },
    { title: "Note", cell: ({ note }) => <span class="wrap">{note ?? ""}</span> },
    { title: "Set", cell: ({ set_at }) => <Time at={set_at} /> },
    { title: "Ends", cell: ({ expires_at }) => <Time at={expires_at} otherwise="when cleared" /> },
    {
      title: "Change",
      cell: (override) => {
        const { name } = subjectOf(override);
        return (
          <span class="row-actions">
            <Button
              label={`Change the override of ${name}`}
              isDisabled={!mayChange}
              onClick={() => onChange({ kind: "set", former: override })}
            >
              Change…
            </Button>
            <Button
              label={`Clear the override of ${name}`}
              isDisabled={!mayChange}
              onClick={() => onChange({ kind: "clear", override })}
            >
              Clear…
            </Button>
          </span>
        );
      },
    },
  ];
}
