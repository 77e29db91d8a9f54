import { useCallback, useState } from "preact/hooks";
import type { AppliedOverride, LimitOverride, Plans, Roles } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { useAction } from "../../data/use-action.ts";
import { useCall } from "../../data/use-call.ts";
import { isChangedMeanwhile } from "../../parts/changed-notice.tsx";
import { ConfirmDialog, Dialog } from "../../parts/dialog.tsx";
import { CallView } from "../../parts/states.tsx";
import { useToast } from "../../parts/toast.tsx";
import type { Draft } from "./override-draft.ts";
import { draftOf, NEW_DRAFT } from "./override-draft.ts";
import { Affected, OverrideFacts, SubjectName } from "./override-facts.tsx";
import { OverrideForm } from "./override-form.tsx";
import { ChangedOverride, presentOverride, versionOf } from "./present-override.tsx";
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
  const [draft, setDraft] = useState<Draft>(() =>
    former === undefined ? NEW_DRAFT : draftOf(former, Date.now()),
  );
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
        former={former}
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
  /** The override that the person began to change. */
  readonly former: AppliedOverride | undefined;
}

function ReviewDialog({ subject, override, former, onClose, onDone }: ReviewProps) {
  const client = useClient();
  const toast = useToast();
  const { scope, name } = subject;
  const [asked, setAsked] = useState(1);
  const present = useCall(useCallback(() => presentOverride(client, { scope, name }), [client, scope, name]));
  const version = present.value && versionOf(present.value.override);
  const action = useAction(async () => {
    try {
      await client.limits.setOverride(toLimitSubject(subject), {
        ...override,
        ...(version !== undefined && { replaces: version }),
      });
    } catch (problem) {
      if (!isChangedMeanwhile(problem)) throw problem;
      setAsked(asked + 1);
      present.reload();
      return;
    }
    toast(`The override of ${name} applies.`);
    onDone();
  });
  const isChanged = former !== undefined && version !== undefined && version !== former.version;
  return (
    <ConfirmDialog
      title="Set this override?"
      action="Set the override"
      typed={name}
      asked={asked}
      isReady={version !== undefined && !present.isLoading}
      isRunning={action.isRunning}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() => void action.run()}
    >
      <p>
        <SubjectName subject={subject} />
      </p>
      {(asked > 1 || isChanged) && <ChangedOverride key={asked} subject={subject} />}
      <Affected subject={subject} />
      <OverrideFacts override={override} />
      <CallView call={present} what="the present override">
        {({ override: replaced }) =>
          replaced === undefined ? (
            <p class="muted">There is no override that it replaces.</p>
          ) : (
            <>
              <h3>It replaces</h3>
              <OverrideFacts override={replaced} />
            </>
          )
        }
      </CallView>
    </ConfirmDialog>
  );
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
  const [{ seen, asked }, setSeen] = useState<{
    readonly seen: AppliedOverride | undefined;
    readonly asked: number;
  }>({ seen: override, asked: 1 });
  const action = useAction(async () => {
    try {
      await client.limits.clearOverride(toLimitSubject(subject), versionOf(seen));
    } catch (problem) {
      if (!isChangedMeanwhile(problem)) throw problem;
      setSeen({ seen: (await presentOverride(client, subject)).override, asked: asked + 1 });
      return;
    }
    toast(`The override of ${subject.name} is cleared.`);
    onDone();
  });
  return (
    <ConfirmDialog
      title="Clear this override?"
      action="Clear the override"
      typed={subject.name}
      asked={asked}
      isRunning={action.isRunning}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() => void action.run()}
    >
      <p>
        <SubjectName subject={subject} />. The plans of its keys and roles apply again.
      </p>
      {asked > 1 && <ChangedOverride key={asked} subject={subject} />}
      <Affected subject={subject} />
      {seen === undefined ? <p class="muted">It has no override now.</p> : <OverrideFacts override={seen} />}
    </ConfirmDialog>
  );
}
