import type { TargetedSubmitEvent } from "preact";
import { useState } from "preact/hooks";
import { Button } from "../../parts/button.tsx";
import { Field } from "../../parts/field.tsx";
import { goTo, hrefOf } from "../../shell/route.ts";

/** Which overrides are listed. Empty texts choose all. */
export interface Chosen {
  readonly plan: string;
  /** An owner or a family. */
  readonly subject: string;
}

/** Looks up one subject. */
export function OverrideFinder({ plan, subject }: Chosen) {
  const [text, setText] = useState(subject);
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    goTo(hrefOf(["budgets"], { plan, subject: text.trim() }));
  };
  return (
    <form class="row" onSubmit={submit}>
      <Field label="Owner or family">
        {(ids) => (
          <input
            {...ids}
            type="search"
            value={text}
            autocomplete="off"
            spellcheck={false}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        )}
      </Field>
      <Button type="submit">Find</Button>
    </form>
  );
}
