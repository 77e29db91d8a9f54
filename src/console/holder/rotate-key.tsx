import type { TargetedSubmitEvent } from "preact";
import { useRef, useState } from "preact/hooks";
import type { LatchkeyClient } from "../../client/client.ts";
import type { IssuedKey, Key } from "../../client/types.ts";
import { useAction } from "../data/use-action.ts";
import { Button } from "../parts/button.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";
import { ProblemNotice } from "../parts/states.tsx";
import { goTo, hrefOf } from "../shell/route.ts";
import { NewKey } from "./new-key.tsx";
import { newIdempotencyKey } from "./random.ts";

export interface KeyDialogProps {
  readonly client: LatchkeyClient;
  readonly value: Key;
  /** Called after the change. */
  onChange(): void;
  onClose(): void;
}

/** How long the old key stays valid. The names say what the time is good for. */
const OVERLAPS: readonly (readonly [seconds: string, name: string])[] = [
  ["86400", "1 day"],
  ["3600", "1 hour"],
  ["604800", "7 days"],
  ["0", "not at all: it stops working now"],
];

/** Issues the successor, and keeps the old key valid for a while. */
export function RotateKey({ client, value, onChange, onClose }: KeyDialogProps) {
  const [overlap, setOverlap] = useState("86400");
  const [issued, setIssued] = useState<IssuedKey | undefined>(undefined);
  const idempotencyKey = useRef(newIdempotencyKey());
  const rotate = useAction(async () => {
    const options = { idempotencyKey: idempotencyKey.current };
    setIssued(await client.owner.rotate(value.key_id, { overlap: Number(overlap) }, options));
    onChange();
  });
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    void rotate.run();
  };
  if (issued !== undefined) {
    const name = OVERLAPS.find(([seconds]) => seconds === overlap)?.[1];
    const before = overlap === "0" ? "The old key no longer works." : `The old key works for ${name} more.`;
    return (
      <NewKey
        issued={issued}
        before={before}
        onClose={() => {
          onClose();
          goTo(hrefOf([issued.key_id]));
        }}
      />
    );
  }
  return (
    <Dialog title="Rotate this key" onClose={onClose}>
      <form class="stack" onSubmit={submit}>
        <p>
          <bdi>{value.name}</bdi> gets a successor with the same role, scopes and limits.
        </p>
        <Field label="The old key stays valid" hint="Long enough to replace it everywhere.">
          {(ids) => (
            <select {...ids} value={overlap} onChange={(event) => setOverlap(event.currentTarget.value)}>
              {OVERLAPS.map(([seconds, name]) => (
                <option key={seconds} value={seconds}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
        {rotate.problem !== undefined && <ProblemNotice problem={rotate.problem} />}
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" isRunning={rotate.isRunning}>
            Rotate key
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
