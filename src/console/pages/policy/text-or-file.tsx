import type { ComponentChildren, RefObject } from "preact";
import { useRef, useState } from "preact/hooks";
import { Button } from "../../parts/button.tsx";
import { Field } from "../../parts/field.tsx";

/** What the API accepts. */
const MAX_BYTES = 1024 * 1024;

export interface TextOrFileProps {
  readonly field: RefObject<HTMLTextAreaElement | null>;
  readonly label: string;
  readonly hint?: string;
  readonly rows: number;
  /** Further buttons. */
  readonly children?: ComponentChildren;
}

/** A field for a text that is pasted, or read from a file of this computer. */
export function TextOrFile({ field, label, hint, rows, children }: TextOrFileProps) {
  const file = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const read = async () => {
    const chosen = file.current?.files?.[0];
    if (chosen === undefined || field.current === null) return;
    setProblem(chosen.size > MAX_BYTES ? "The file is larger than 1 MB." : undefined);
    if (chosen.size <= MAX_BYTES) field.current.value = await chosen.text();
    if (file.current !== null) file.current.value = "";
  };
  const name = `Open a file with ${label.toLowerCase()}`;
  return (
    <div class="stack text-or-file">
      <Field label={label} {...(hint !== undefined && { hint })} error={problem}>
        {(ids) => (
          <textarea {...ids} ref={field} rows={rows} wrap="off" spellcheck={false} autocomplete="off" />
        )}
      </Field>
      <div class="row">
        {children}
        <Button label={name} onClick={() => file.current?.click()}>
          Open a file…
        </Button>
        <input ref={file} type="file" hidden onChange={() => void read()} />
      </div>
    </div>
  );
}
