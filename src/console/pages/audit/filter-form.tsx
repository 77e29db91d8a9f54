import type { ComponentChildren, TargetedSubmitEvent } from "preact";
import { useState } from "preact/hooks";
import { Button } from "../../parts/button.tsx";
import { Field } from "../../parts/field.tsx";
import type { FilterField, FilterValues } from "./filter.ts";
import { isFiltered, NO_FILTER } from "./filter.ts";

/** The names of `core/audit/audit-event.ts`. The API takes any name. */
const EVENTS = [
  ...["key_registered", "key_refreshed", "key_rotated", "key_changed", "key_disabled", "key_enabled"],
  ...["key_revoked", "family_revoked", "owner_revoked", "keys_cut_off", "limits_set", "limits_cleared"],
  ...["legacy_key_registered", "legacy_key_migrated", "legacy_keys_imported", "migration_phase_set"],
  ...[
    "registry_frozen",
    "registry_thawed",
    "write_lost",
    "console_link_used",
    "console_signed_out",
    "damaged",
  ],
];

const TEXTS: readonly (readonly [FilterField, string])[] = [
  ["actor", "Actor"],
  ["key_id", "Key id"],
  ["owner", "Owner"],
  ["family", "Family"],
  ["role", "Role"],
];

export interface FilterFormProps {
  /** The filter that is in force. */
  readonly values: FilterValues;
  onApply(values: FilterValues): void;
  /** Further buttons. */
  readonly children?: ComponentChildren;
}

/** Which events are shown. It applies when it is submitted. Remount it when the filter changes elsewhere. */
export function FilterForm({ values, onApply, children }: FilterFormProps) {
  const [draft, setDraft] = useState(values);
  const set = (field: FilterField) => (event: { readonly currentTarget: { readonly value: string } }) =>
    setDraft({ ...draft, [field]: event.currentTarget.value });
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const entries = Object.entries(draft).map(([field, value]) => [field, value.trim()] as const);
    onApply({ ...NO_FILTER, ...Object.fromEntries(entries) });
  };
  return (
    <form class="filters" aria-label="Filter" onSubmit={submit}>
      <div class="fields">
        <Field label="Event">
          {(ids) => (
            <select {...ids} value={draft.event} onChange={set("event")}>
              <option value="">any</option>
              {[...new Set([...EVENTS, ...(draft.event === "" ? [] : [draft.event])])].map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
        {TEXTS.map(([field, label]) => (
          <Field key={field} label={label}>
            {(ids) => (
              <input
                {...ids}
                type="search"
                value={draft[field]}
                autocomplete="off"
                spellcheck={false}
                maxLength={300}
                onInput={set(field)}
              />
            )}
          </Field>
        ))}
        <Field label="Outcome">
          {(ids) => (
            <select {...ids} value={draft.outcome} onChange={set("outcome")}>
              <option value="">any</option>
              <option value="done">done</option>
              <option value="refused">denied</option>
            </select>
          )}
        </Field>
        <Field label="From">
          {(ids) => <input {...ids} type="datetime-local" value={draft.from} onInput={set("from")} />}
        </Field>
        <Field label="Before">
          {(ids) => <input {...ids} type="datetime-local" value={draft.to} onInput={set("to")} />}
        </Field>
      </div>
      <div class="tools">
        <Button kind="primary" type="submit">
          Apply
        </Button>
        {isFiltered(values) && <Button onClick={() => onApply(NO_FILTER)}>Clear the filter</Button>}
        {children}
      </div>
    </form>
  );
}
