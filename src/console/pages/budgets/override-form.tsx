import type { TargetedSubmitEvent } from "preact";
import { useState } from "preact/hooks";
import type { LimitOverride } from "../../../client/types.ts";
import { Button } from "../../parts/button.tsx";
import { Field } from "../../parts/field.tsx";
import { Notice } from "../../parts/notice.tsx";
import { Select } from "../../parts/select.tsx";
import type { Draft, DraftQuota } from "./override-draft.ts";
import { toOverride } from "./override-draft.ts";
import type { Scope } from "./subject.ts";

export interface OverrideFormProps {
  readonly draft: Draft;
  /** Whether the subject is fixed, because its override is changed. */
  readonly isChange: boolean;
  readonly plans: readonly string[];
  readonly quotas: readonly string[];
  onChange(draft: Draft): void;
  onReview(override: LimitOverride): void;
  onCancel(): void;
}

/** What an owner or a family gets instead of what its keys and roles say. */
export function OverrideForm(props: OverrideFormProps) {
  const { draft, isChange, plans, quotas, onChange, onReview, onCancel } = props;
  const [fault, setFault] = useState<string | undefined>(undefined);
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const override = toOverride(draft, Date.now());
    if (typeof override === "string") return setFault(override);
    setFault(undefined);
    onReview(override);
  };
  const set = (change: Partial<Draft>) => onChange({ ...draft, ...change });
  return (
    <form class="stack" onSubmit={submit}>
      {!isChange && <SubjectFields draft={draft} set={set} />}
      <Select
        label="Plan"
        value={draft.plan}
        options={[["", "no other plan"], ...plans.map((plan) => [plan, plan] as const)]}
        onChange={(plan) => set({ plan })}
      />
      <QuotaFields chosen={draft.quotas} names={quotas} onChange={(chosen) => set({ quotas: chosen })} />
      <Field label="Note" hint="Why, for people. At most 200 characters.">
        {(ids) => (
          <input
            {...ids}
            value={draft.note}
            maxLength={200}
            autocomplete="off"
            onInput={({ currentTarget }) => set({ note: currentTarget.value })}
          />
        )}
      </Field>
      <Field label="Ends" hint="Empty: it applies until it is cleared.">
        {(ids) => (
          <input
            {...ids}
            type="datetime-local"
            step="1"
            value={draft.expiresAt}
            onInput={({ currentTarget }) => set({ expiresAt: currentTarget.value })}
          />
        )}
      </Field>
      {fault !== undefined && <Notice tone="bad">{fault}</Notice>}
      <div class="actions">
        <Button onClick={onCancel}>Cancel</Button>
        <Button kind="primary" type="submit">
          Review…
        </Button>
      </div>
    </form>
  );
}

interface SubjectFieldsProps {
  readonly draft: Draft;
  set(change: Partial<Draft>): void;
}

function SubjectFields({ draft, set }: SubjectFieldsProps) {
  return (
    <div class="pair">
      <Select<Scope>
        label="For"
        value={draft.scope}
        options={[
          ["owner", "an owner"],
          ["family", "a family"],
        ]}
        onChange={(scope) => set({ scope })}
      />
      <Field label={draft.scope === "owner" ? "Owner" : "Family"}>
        {(ids) => (
          <input
            {...ids}
            value={draft.name}
            autocomplete="off"
            spellcheck={false}
            onInput={({ currentTarget }) => set({ name: currentTarget.value })}
          />
        )}
      </Field>
    </div>
  );
}

interface QuotaFieldsProps {
  readonly chosen: readonly DraftQuota[];
  readonly names: readonly string[];
  onChange(chosen: readonly DraftQuota[]): void;
}

const MAX_QUOTAS = 8;

function QuotaFields({ chosen, names, onChange }: QuotaFieldsProps) {
  const free = names.filter((name) => !chosen.some((quota) => quota.name === name));
  const [next] = free;
  const replace = (at: number, change: Partial<DraftQuota>) =>
    onChange(chosen.map((quota, index) => (index === at ? { ...quota, ...change } : quota)));
  return (
    <fieldset>
      <legend>Quotas</legend>
      {chosen.length > 0 && (
        <p class="muted">They replace all quotas of the plan: a quota that is not listed does not apply.</p>
      )}
      {chosen.map((quota, at) => (
        <div class="quota-row" key={quota.name}>
          <Select
            label="Quota"
            value={quota.name}
            options={[quota.name, ...free].map((name) => [name, name] as const)}
            onChange={(name) => replace(at, { name })}
          />
          <Amount label="Limit" value={quota.limit} onInput={(limit) => replace(at, { limit })} />
          <Amount label="Extra, once" value={quota.extra} onInput={(extra) => replace(at, { extra })} />
          <Button
            label={`Remove the quota ${quota.name}`}
            onClick={() => onChange(chosen.filter((_, index) => index !== at))}
          >
            ×
          </Button>
        </div>
      ))}
      <Button
        isDisabled={next === undefined || chosen.length >= MAX_QUOTAS}
        title={names.length === 0 ? "The policy has no quotas." : "Add a quota"}
        onClick={() => next !== undefined && onChange([...chosen, { name: next, limit: "", extra: "" }])}
      >
        Add a quota
      </Button>
    </fieldset>
  );
}

interface AmountProps {
  readonly label: string;
  readonly value: string;
  onInput(value: string): void;
}

function Amount({ label, value, onInput }: AmountProps) {
  return (
    <Field label={label}>
      {(ids) => (
        <input
          {...ids}
          class="number"
          inputMode="numeric"
          value={value}
          autocomplete="off"
          onInput={({ currentTarget }) => onInput(currentTarget.value.replace(/[\s,_]/g, ""))}
        />
      )}
    </Field>
  );
}
