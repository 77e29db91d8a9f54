import { useState } from "preact/hooks";
import type { MigrationStatus, Phase } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { useAction } from "../../data/use-action.ts";
import { ChangedNotice, isChangedMeanwhile } from "../../parts/changed-notice.tsx";
import { ConfirmDialog } from "../../parts/dialog.tsx";
import { useToast } from "../../parts/toast.tsx";
import { effectSentences, MEANINGS } from "./phase-text.ts";

export interface SwitchDialogProps {
  /** As the person sees it when the dialog opens. */
  readonly migration: MigrationStatus;
  readonly wanted: Phase | "from-policy";
  onClose(): void;
  onSwitched(): void;
}

const SWITCHES = [{ event: "migration_phase_set" }];

/** Says what the phase will do to the keys, and asks for its name. If another operator was faster, it asks again. */
export function SwitchDialog({ migration, wanted, onClose, onSwitched }: SwitchDialogProps) {
  const toast = useToast();
  const { seen, asked, change } = useSwitch(migration, wanted);
  const phase = wanted === "from-policy" ? seen.policy_phase : wanted;
  const effect = seen.effects.find((candidate) => candidate.phase === phase);
  const confirm = async () => {
    const status = await change.run();
    onSwitched();
    if (status === undefined) return;
    toast(`The phase is now ${status.phase}. It was ${seen.phase}.`);
    onClose();
  };
  return (
    <ConfirmDialog
      title={wanted === "from-policy" ? `Return to the policy's phase, ${phase}` : `Switch to ${phase}`}
      action={wanted === "from-policy" ? "Return to the policy" : `Switch to ${phase}`}
      typed={wanted}
      asked={asked}
      isRunning={change.isRunning}
      problem={change.problem}
      onClose={onClose}
      onConfirm={() => void confirm()}
    >
      {asked > 1 && (
        <ChangedNotice key={asked} queries={SWITCHES}>
          The phase has changed meanwhile: it is now <strong>{seen.phase}</strong>. Nothing was switched.
        </ChangedNotice>
      )}
      <p>{MEANINGS[phase]}</p>
      <ul class="effects">
        {(effect === undefined ? [] : effectSentences(effect)).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
      <p>
        {wanted === "from-policy"
          ? "From then on the policy file determines the phase on all instances."
          : `This applies to all instances, whatever the policy says. Switch to ${seen.phase} to undo it.`}
      </p>
    </ConfirmDialog>
  );
}

/** Switches only from what the person has seen. */
function useSwitch(migration: MigrationStatus, wanted: Phase | "from-policy") {
  const client = useClient();
  const [{ seen, asked }, setSeen] = useState({ seen: migration, asked: 1 });
  const change = useAction(async () => {
    try {
      return await client.migration.set(wanted, seen.phase);
    } catch (problem) {
      if (!isChangedMeanwhile(problem)) throw problem;
      setSeen({ seen: await client.migration.show(), asked: asked + 1 });
      return undefined;
    }
  });
  return { seen, asked, change };
}
