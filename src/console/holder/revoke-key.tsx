import { useState } from "preact/hooks";
import { useAction } from "../data/use-action.ts";
import { ConfirmDialog } from "../parts/dialog.tsx";
import { Time } from "../parts/time.tsx";
import { useToast } from "../parts/toast.tsx";
import type { KeyDialogProps } from "./rotate-key.tsx";

/** Ends a key, or its whole family. It asks to type `revoke`, and shows the id and the last use of what is about to end. */
export function RevokeKey({ client, value, onChange, onClose }: KeyDialogProps) {
  const toast = useToast();
  const [withFamily, setWithFamily] = useState(value.status !== "superseded");
  const revoke = useAction(async () => {
    await client.owner.revoke(value.key_id, { family: withFamily });
    toast("The key is revoked.");
    onChange();
    onClose();
  });
  return (
    <ConfirmDialog
      title="Revoke this key?"
      action="Revoke key"
      typed="revoke"
      isRunning={revoke.isRunning}
      problem={revoke.problem}
      onConfirm={() => void revoke.run()}
      onClose={onClose}
    >
      <p>
        <strong>
          <bdi>{value.name}</bdi>
        </strong>{" "}
        stops working within a second. This cannot be undone.
      </p>
      <p>
        <code>{value.key_id}</code>, last used <Time at={value.last_used_at} />
      </p>
      <label class="check">
        <input
          type="checkbox"
          checked={withFamily}
          onChange={(event) => setWithFamily(event.currentTarget.checked)}
        />
        Also every key that it was rotated from or to
      </label>
    </ConfirmDialog>
  );
}
