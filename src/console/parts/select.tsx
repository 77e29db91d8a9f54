import { Field } from "./field.tsx";

export interface SelectProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  /** Each value with its text. */
  readonly options: readonly (readonly [value: Value, text: string])[];
  readonly name?: string;
  /** The error of the value, as a sentence. */
  readonly error?: string | undefined;
  onChange(value: Value): void;
}

/** A choice of one value. */
export function Select<Value extends string>(props: SelectProps<Value>) {
  const { label, value, options, name, error, onChange } = props;
  return (
    <Field label={label} error={error}>
      {(ids) => (
        <select
          {...ids}
          name={name}
          value={value}
          onChange={({ currentTarget }) => {
            const chosen = options.find(([candidate]) => candidate === currentTarget.value);
            if (chosen !== undefined) onChange(chosen[0]);
          }}
        >
          {options.map(([option, text]) => (
            <option key={option} value={option}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
