import type { MigrationStatus, Phase } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { useAction } from "../../data/use-action.ts";
import { ConfirmDialog } from "../../parts/dialog.tsx";
import { useToast } from "../../parts/toast.tsx";
import { effectSentences, MEANINGS } from "./phase-text.ts";

export interface SwitchDialogProps {
  readonly migration: MigrationStatus;
  readonly wanted: Phase | "from-policy";
  onClose(): void;
  onSwitched(): void;
}

/** Says what the phase will do to the keys, and asks for its name. */
export function SwitchDialog({ migration, wanted, onClose, onSwitched }: SwitchDialogProps) {
  const client = useClient();
  const toast = useToast();
  const change = useAction(() => client.migration.set(wanted));
  const phase = wanted === "from-policy" ? migration.policy_phase : wanted;
  const effect = migration.effects.find((candidate) => candidate.phase === phase);
  const confirm = async () => {
    const status = await change.run();
    onSwitched();
    if (status === undefined) return;
    toast(`The phase is now ${status.phase}. It was ${migration.phase}.`);
    onClose();
  };
  return (
    <ConfirmDialog
      title={wanted === "from-policy" ? `Return to the policy's phase, ${phase}` : `Switch to ${phase}`}
      action={wanted === "from-policy" ? "Return to the policy" : `Switch to ${phase}`}
      typed={wanted}
      isRunning={change.isRunning}
      problem={change.problem}
      onClose={onClose}
      onConfirm={() => void confirm()}
    >
      <p>{MEANINGS[phase]}</p>
      <ul class="effects">
        {(effect === undefined ? [] : effectSentences(effect)).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
      <p>
        {wanted === "from-policy"
          ? "From then on the policy file determines the phase on all instances."
          : `This applies to all instances, whatever the policy says. Switch to ${migration.phase} to undo it.`}
      </p>
    </ConfirmDialog>
  );
}
