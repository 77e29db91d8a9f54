import type { TargetedSubmitEvent } from "preact";
import { useRef, useState } from "preact/hooks";
import type { DescribedRequest } from "../../../client/explain-types.ts";
import { Button } from "../../parts/button.tsx";
import { Field } from "../../parts/field.tsx";
import { describedBy } from "./described-form.ts";

export interface RequestFormProps {
  /** Has the first `method` and `path`. */
  readonly query: URLSearchParams;
  readonly isRunning: boolean;
  onSubmit(request: DescribedRequest): void;
}

/** The key is held in memory, not in the page, so that several requests can be tried with it. */
export function RequestForm({ query, isRunning, onSubmit }: RequestFormProps) {
  const key = useRef("");
  const [holdsKey, setHoldsKey] = useState(false);
  const [headerProblem, setHeaderProblem] = useState<string | undefined>(undefined);
  const hold = (text: string) => {
    key.current = text;
    setHoldsKey(text !== "");
  };
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (isRunning) return;
    const form = event.currentTarget;
    const field = form.elements.namedItem("key");
    if (field instanceof HTMLInputElement && field.value !== "") {
      hold(field.value.trim());
      field.value = "";
    }
    const described = describedBy(new FormData(form), key.current);
    setHeaderProblem(described.ok ? undefined : described.problem);
    if (described.ok) onSubmit(described.request);
  };
  return (
    <form class="stack" onSubmit={submit}>
      <MethodAndPath query={query} />
      <KeyField holdsKey={holdsKey} onForget={() => hold("")} />
      <FurtherFields headerProblem={headerProblem} />
      <div>
        <Button kind="primary" type="submit" isRunning={isRunning}>
          Explain
        </Button>
      </div>
    </form>
  );
}

function MethodAndPath({ query }: Pick<RequestFormProps, "query">) {
  return (
    <div class="method-and-path">
      <TextField name="method" label="Method" value={query.get("method") ?? "GET"} isRequired />
      <TextField
        name="path"
        label="Path"
        value={query.get("path") ?? ""}
        placeholder="/v1/chat?stream=1"
        isRequired
      />
    </div>
  );
}

interface KeyFieldProps {
  readonly holdsKey: boolean;
  onForget(): void;
}

function KeyField({ holdsKey, onForget }: KeyFieldProps) {
  const hint = holdsKey
    ? "The last key is used until you leave this page or forget it."
    : "Optional. It is never shown or stored.";
  return (
    <>
      <Field label="Key" hint={hint}>
        {(ids) => (
          <input
            {...ids}
            name="key"
            type="password"
            autocomplete="off"
            placeholder={holdsKey ? "Another key" : ""}
          />
        )}
      </Field>
      {holdsKey && (
        <div>
          <Button onClick={onForget}>Forget the key</Button>
        </div>
      )}
    </>
  );
}

/** Opens by itself if a header has to be corrected. */
function FurtherFields({ headerProblem }: { readonly headerProblem: string | undefined }) {
  return (
    <details class="more" open={headerProblem !== undefined || undefined}>
      <summary>Headers, address and more</summary>
      <div class="stack">
        <Field label="Headers" hint="One per line: name: value" error={headerProblem}>
          {(ids) => <textarea {...ids} name="headers" rows={3} spellcheck={false} />}
        </Field>
        <div class="pairs">
          <TextField name="host" label="Host" />
          <Field label="Scheme">
            {(ids) => (
              <select {...ids} name="scheme">
                <option>https</option>
                <option>http</option>
              </select>
            )}
          </Field>
          <TextField name="address" label="Client address" />
          <TextField name="in" label="Where the key is sent" placeholder="authorization" />
        </div>
        <TextField name="certificate" label="Client certificate (x5t#S256)" />
      </div>
    </details>
  );
}

interface TextFieldProps {
  readonly name: string;
  readonly label: string;
  readonly value?: string;
  readonly placeholder?: string;
  readonly isRequired?: boolean;
}

function TextField({ name, label, value = "", placeholder, isRequired = false }: TextFieldProps) {
  return (
    <Field label={label}>
      {(ids) => (
        <input
          {...ids}
          name={name}
          defaultValue={value}
          placeholder={placeholder}
          required={isRequired}
          autocomplete="off"
          spellcheck={false}
        />
      )}
    </Field>
  );
}
