import type { ComponentChildren, TargetedSubmitEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Button } from "./button.tsx";
import { Field } from "./field.tsx";
import { ProblemNotice } from "./states.tsx";

export interface DialogProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** Called when the person closes it, also by Escape. */
  onClose(): void;
}

/** A modal dialog. The focus returns to where it was when the dialog is removed. */
export function Dialog({ title, children, onClose }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

export interface ConfirmDialogProps extends DialogProps {
  /** The text on the button: a verb and its object. */
  readonly action: string;
  /** What the person has to type. Without it a click suffices. */
  readonly typed?: string;
  /** How often the dialog has asked. The person types again each time. */
  readonly asked?: number;
  /** Whether the content says all that the person must know. */
  readonly isReady?: boolean;
  readonly isRunning: boolean;
  /** Of the last attempt. */
  readonly problem: unknown;
  onConfirm(): void;
}

/** Asks before a change that cannot be undone. Its content says what the change will affect. */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const { title, children, action, typed, asked = 1, isReady = true, isRunning, problem } = props;
  const { onClose, onConfirm } = props;
  const [text, setText] = useState("");
  useEffect(() => setText(""), [asked]);
  const matches = isReady && (typed === undefined || text.trim() === typed);
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (matches && !isRunning) onConfirm();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="stack" onSubmit={submit}>
        {children}
        {typed !== undefined && (
          <Field label={`Type ${typed} to confirm`}>
            {(ids) => (
              <input
                {...ids}
                value={text}
                autocomplete="off"
                spellcheck={false}
                onInput={(event) => setText(event.currentTarget.value)}
              />
            )}
          </Field>
        )}
        {problem !== undefined && <ProblemNotice problem={problem} />}
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" type="submit" isDisabled={!matches} isRunning={isRunning}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
