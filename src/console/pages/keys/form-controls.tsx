import { LatchkeyProblem } from "../../../client/problem.ts";
import { Field } from "../../parts/field.tsx";

/** What the problem says about this member of the body, or about a part of it. */
export function errorAt(problem: unknown, pointer: string): string | undefined {
  if (!(problem instanceof LatchkeyProblem)) return undefined;
  const found = problem.errors.find(
    (error) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`),
  );
  return found && `This ${found.detail}.`;
}

export interface TextFieldProps {
  readonly label: string;
  readonly hint?: string;
  readonly value: string;
  readonly error: string | undefined;
  readonly isRequired?: boolean;
  onChange(value: string): void;
}

export function TextField({ label, hint, value, error, isRequired = false, onChange }: TextFieldProps) {
  return (
    <Field label={label} {...(hint !== undefined && { hint })} error={error}>
      {(ids) => (
        <input
          {...ids}
          value={value}
          required={isRequired}
          maxLength={512}
          autocomplete="off"
          spellcheck={false}
          onInput={({ currentTarget }) => onChange(currentTarget.value)}
        />
      )}
    </Field>
  );
}
