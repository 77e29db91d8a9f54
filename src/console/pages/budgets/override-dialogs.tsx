import { useCallback, useState } from "preact/hooks";
import { LatchkeyProblem } from "../../../client/problem.ts";
import type { AppliedOverride, LimitOverride, Plans, Roles } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { useAction } from "../../data/use-action.ts";
import { useCall } from "../../data/use-call.ts";
import { ConfirmDialog, Dialog } from "../../parts/dialog.tsx";
import { CallView } from "../../parts/states.tsx";
import { useToast } from "../../parts/toast.tsx";
import type { Draft } from "./override-draft.ts";
import { draftOf, NEW_DRAFT } from "./override-draft.ts";
import { Affected, OverrideFacts, SubjectName } from "./override-facts.tsx";
import { OverrideForm } from "./override-form.tsx";
import type { Subject } from "./subject.ts";
import { subjectOf, toLimitSubject } from "./subject.ts";

interface ChangeProps {
  onClose(): void;
  /** Called after a change. */
  onDone(): void;
}

/** Fills in an override, then shows what it will affect and asks for the name. */
export function SetOverrideDialog({
  former,
  onClose,
  onDone,
}: ChangeProps & { readonly former: AppliedOverride | undefined }) {
  const client = useClient();
  const [draft, setDraft] = useState<Draft>(former === undefined ? NEW_DRAFT : draftOf(former));
  const [reviewed, setReviewed] = useState<LimitOverride | undefined>(undefined);
  const names = useCall(
    useCallback(
      async () => namesIn(await Promise.all([client.policy.plans(), client.policy.roles()])),
      [client],
    ),
  );
  if (reviewed !== undefined)
    return (
      <ReviewDialog
        subject={{ scope: draft.scope, name: draft.name.trim() }}
        override={reviewed}
        onClose={() => setReviewed(undefined)}
        onDone={onDone}
      />
    );
  return (
    <Dialog title={former === undefined ? "Set an override" : "Change the override"} onClose={onClose}>
      {former !== undefined && (
        <p class="dialog-subject">
          <SubjectName subject={draft} />
        </p>
      )}
      <CallView call={names} what="the plans">
        {({ plans, quotas }) => (
          <OverrideForm
            draft={draft}
            isChange={former !== undefined}
            plans={plans}
            quotas={quotas}
            onChange={setDraft}
            onReview={setReviewed}
            onCancel={onClose}
          />
        )}
      </CallView>
    </Dialog>
  );
}

/** An override can name every quota that a plan or a role has. */
function namesIn([{ plans }, { roles }]: readonly [Plans, Roles]) {
  const quotas = [...plans, ...roles].flatMap((list) => (list.quotas ?? []).map(({ name }) => name));
  return { plans: plans.map(({ name }) => name), quotas: [...new Set(quotas)].sort() };
}

interface ReviewProps extends ChangeProps {
  readonly subject: Subject;
  readonly override: LimitOverride;
}

function ReviewDialog({ subject, override, onClose, onDone }: ReviewProps) {
  const client = useClient();
  const toast = useToast();
  const { scope, name } = subject;
  const present = useCall(
    useCallback(
      () => presentOverride(() => client.limits.showOverride(toLimitSubject({ scope, name }))),
      [client, scope, name],
    ),
  );
  const action = useAction(async () => {
    await client.limits.setOverride(toLimitSubject(subject), override);
    toast(`The override of ${name} applies.`);
    onDone();
  });
  return (
    <ConfirmDialog
      title="Set this override?"
      action="Set the override"
      typed={name}
      isRunning={action.isRunning}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() => void action.run()}
    >
      <p>
        <SubjectName subject={subject} />
      </p>
      <Affected subject={subject} />
      <OverrideFacts override={override} />
      <CallView call={present} what="the present override">
        {({ override: former }) =>
          former === undefined ? (
            <p class="muted">There is no override that it replaces.</p>
          ) : (
            <>
              <h3>It replaces</h3>
              <OverrideFacts override={former} />
            </>
          )
        }
      </CallView>
    </ConfirmDialog>
  );
}

async function presentOverride(show: () => Promise<AppliedOverride>) {
  try {
    return { override: await show() };
  } catch (problem) {
    if (problem instanceof LatchkeyProblem && problem.status === 404) return { override: undefined };
    throw problem;
  }
}

/** Clears an override after its subject was typed. */
export function ClearOverrideDialog({
  override,
  onClose,
  onDone,
}: ChangeProps & { readonly override: AppliedOverride }) {
  const client = useClient();
  const toast = useToast();
  const subject = subjectOf(override);
  const action = useAction(async () => {
    await client.limits.clearOverride(toLimitSubject(subject));
    toast(`The override of ${subject.name} is cleared.`);
    onDone();
  });
  return (
    <ConfirmDialog
      title="Clear this override?"
      action="Clear the override"
      typed={subject.name}
      isRunning={action.isRunning}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() => void action.run()}
    >
      <p>
        <SubjectName subject={subject} />. The plans of its keys and roles apply again.
      </p>
      <Affected subject={subject} />
      <OverrideFacts override={override} />
    </ConfirmDialog>
  );
}
