import type { TargetedSubmitEvent } from "preact";
import { useState } from "preact/hooks";
import { LatchkeyUnreachable } from "../../../client/problem.ts";
import type { IssuedKey, Key } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { useAction } from "../../data/use-action.ts";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { Field } from "../../parts/field.tsx";
import { ProblemNotice } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";

const OVERLAPS = [
  ["", "as the role says"],
  ["0", "none: the old key ends now"],
  ["3600", "1 hour"],
  ["86400", "1 day"],
  ["604800", "7 days"],
] as const;

export interface RotateProps {
  readonly shown: Key;
  onIssued(issued: IssuedKey): void;
  onClose(): void;
}

/** Issues the successor of a key, and asks how long the old key stays valid. */
export function RotateKey({ shown, onIssued, onClose }: RotateProps) {
  const client = useClient();
  const [overlap, setOverlap] = useState("");
  const action = useAction(() =>
    client.keys.rotate(shown.key_id, overlap === "" ? {} : { overlap: Number(overlap) }),
  );
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const issued = await action.run();
    if (issued !== undefined) onIssued(issued);
  };
  return (
    <Dialog title="Rotate this key" onClose={onClose}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <p>
          Issues a successor with the same role, scopes, owner and plan, and shows it once. The old key was
          last used <Time at={shown.last_used_at} />.
        </p>
        <Field label="Overlap" hint="How long the old key stays valid beside its successor.">
          {(ids) => (
            <select
              {...ids}
              value={overlap}
              onChange={({ currentTarget }) => setOverlap(currentTarget.value)}
            >
              {OVERLAPS.map(([seconds, text]) => (
                <option key={seconds} value={seconds}>
                  {text}
                </option>
              ))}
            </select>
          )}
        </Field>
        {action.problem !== undefined && <ProblemNotice problem={action.problem} />}
        {action.problem instanceof LatchkeyUnreachable && (
          <p>The successor may have been issued. If this page names one after a reload, rotate that one.</p>
        )}
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" isRunning={action.isRunning}>
            Rotate
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
